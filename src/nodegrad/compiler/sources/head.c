/* gcc leaves loops as they are at -O2, where clang runs several turns at once. Its pass over ranges of whole
   numbers takes 12 of 14 seconds on a function of 100 loops, and makes nothing faster. */
#if defined __GNUC__ && !defined __clang__ && defined __OPTIMIZE__ && !defined __OPTIMIZE_SIZE__
#pragma GCC optimize ("O3,no-tree-vrp")
#endif
/* gcc would compute functions of known numbers itself, and round some otherwise than the C library. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize ("rounding-math")
#endif
/* Contracting a*b + c into one operation would change the numbers. gcc does not with -std=c99. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif
#ifdef __FAST_MATH__
#error "This code needs nan and inf: no -ffast-math"
#endif
