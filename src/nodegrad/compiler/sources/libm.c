/* What C's library lacks. A file that is written takes along what it uses. */

/* Round to so many decimal places, half to even, from the exact digits, which printf writes. */
static double round_to(double x, double places)
{
    char text[40];
    int exponent, digits;
    if (places != places) return places;
    if (x == 0.0 || x - x != 0.0) return x;
    snprintf(text, sizeof text, "%.17e", x);
    exponent = atoi(strchr(text, 'e') + 1);
    digits = exponent + 1 + (int)fmax(-400.0, fmin(400.0, places));
    if (digits > 17) return x;
    if (digits > 0) snprintf(text, sizeof text, "%.*e", digits - 1, x);
    else if (digits < 0) return copysign(0.0, x);
    else {
        snprintf(text, sizeof text, "5e%d", exponent);
        if (!(fabs(x) > strtod(text, NULL))) return copysign(0.0, x);
        snprintf(text, sizeof text, "%c1e%d", x < 0.0 ? '-' : '+', exponent + 1);
    }
    return strtod(text, NULL);
}
