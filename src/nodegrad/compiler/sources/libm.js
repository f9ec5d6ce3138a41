// The functions of C's library that JavaScript lacks, or has with other values, within 4 ulp of C's. A module that
// is written takes along those it uses; the last puts results together.

function polynomial(x, coefficients) {
  let total = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) total = total * x + coefficients[i];
  return total;
}

// Half to even, as Python and IEEE 754 round; Math.round rounds half up.
function rint(x) {
  const low = Math.floor(x);
  const part = x - low;
  if (part < 0.5 || !(part >= 0.5)) return low;
  const even = low % 2 === 0 ? low : low + 1;
  const rounded = part > 0.5 ? low + 1 : even;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

function copysign(x, y) {
  return y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x);
}

// Round to so many decimal places, half to even, from the exact digits as Python does. toExponential rounds half up:
// a tie is where the digits end with one 5 more, and there the even neighbour is nearest.
function round_to(x, places) {
  if (Number.isNaN(places)) return NaN;
  if (!Number.isFinite(x) || x === 0) return x;
  const exponent = Number(x.toExponential(17).split("e")[1]);
  const digits = exponent + 1 + Math.trunc(Math.min(400, Math.max(-400, places)));
  if (digits > 17) return x;
  const size = Math.abs(x);
  if (digits <= 0) return copysign(digits === 0 && size > Number(`5e${exponent}`) ? Number(`1e${exponent + 1}`) : 0, x);
  const exact = size.toExponential(100).replace(".", "").split("e")[0];
  const [rounded, power] = size.toExponential(digits - 1).split("e");
  if (!/^50*$/.test(exact.slice(digits)) || exact[digits - 1] % 2) return copysign(Number(`${rounded}e${power}`), x);
  return copysign(Number(`${exact.slice(0, digits)}e${exponent - digits + 1}`), x);
}

const INFINITY = Infinity;

const NAN = NaN;

const fabs = Math.abs;

const floor = Math.floor;

const ceil = Math.ceil;

const trunc = Math.trunc;

const sqrt = Math.sqrt;

const exp = Math.exp;

const expm1 = Math.expm1;

const log = Math.log;

const log2 = Math.log2;

const log10 = Math.log10;

const log1p = Math.log1p;

const sin = Math.sin;

const cos = Math.cos;

const tan = Math.tan;

const asin = Math.asin;

const acos = Math.acos;

const atan = Math.atan;

const atan2 = Math.atan2;

const sinh = Math.sinh;

const cosh = Math.cosh;

const tanh = Math.tanh;

const asinh = Math.asinh;

const acosh = Math.acosh;

const atanh = Math.atanh;

function exp2(x) {
  return Math.pow(2, x);
}

function fmod(x, y) {
  return x % y;
}

// Math.pow gives nan for 1**nan and 1**inf, where IEEE 754 gives 1.
function pow(x, y) {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return Math.pow(x, y);
}

// erf(x) / x as a polynomial in x² for |x| < 1; elsewhere 1 - erfc(x).
const ERF = [
  1.1283791670955126, -0.3761263890318375, 0.11283791670954882, -0.026866170645077334, 0.005223977624823223,
  -0.0008548326981129666, 0.00012055331122299266, -1.4925595519506043e-5, 1.6461004480962034e-6,
  -1.6350354461959655e-7, 1.4660051998394848e-8, -1.1373902296430911e-9, 5.958930743134941e-11,
];

function erf(x) {
  if (Math.abs(x) < 1) return x * polynomial(x * x, ERF);
  return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
}

// (1 + 2x)·exp(x²)·erfc(x) = 1.2375... + t·ERFC(t), t = (x - 3.75) / (x + 3.75), for x ≥ 0.5, where it changes
// little (Shepherd & Laframboise 1981; the coefficients are a Chebyshev fit made with mpmath).
const ERFC = [
  -0.14024059858554702, 0.0035854154854661315, 0.08227673849015002, -0.10880393014187324,
  0.09230432116024334, -0.058693398586151475, 0.028362277420590273, -0.009746579607496756,
  0.0017556258429723608, 0.00029371407165191117, -0.0002901540527285958, 5.164703217539947e-5,
  2.238424042800801e-5, -1.1437405963896321e-5, -9.738139336224118e-7, 1.7374908093993884e-6,
  -5.640826562726081e-8, -2.4006735161804106e-7, 2.2028352648603935e-8, 2.448179133475857e-8,
  -2.7783925467311182e-9,
];

function erfc(x) {
  if (x < 0.5) return 1 - erf(x);
  if (x > 28) return 0;
  // exp(-x²) in two factors, since rounding x² alone would cost hundreds of ulp; high·high is exact. What the
  // three larger roundings lose is put back in one small term.
  const high = Math.fround(x);
  const t = (x - 3.75) / (x + 3.75);
  const tail = t * polynomial(t, ERFC);
  const scaled = 1.2375126308378275 + tail;
  const divisor = x + 0.5;
  const lost = Math.expm1((high - x) * (high + x)) - (0.5 - (divisor - x)) / divisor;
  const rest = scaled * lost + (tail - (scaled - 1.2375126308378275)) + 9.94121159411551e-17;
  return Math.exp(-high * high) * (((scaled + rest) / divisor) * 0.5);
}

// The product of two numbers, and what its rounding lost (Dekker 1971).
function product(x, y) {
  const [high, low] = halves(x);
  const [other, rest] = halves(y);
  const rounded = x * y;
  return [rounded, high * other - rounded + (high * rest + low * other) + low * rest];
}

function halves(x) {
  const scaled = 134217729 * x;
  const high = scaled - (scaled - x);
  return [high, x - high];
}

// Browsers' own is 1 ulp off here and there, which a derivative that squares it turns into 5: one step of
// Newton's method, with the remainder in twice the precision.
function cbrt(x) {
  const near = Math.cbrt(x);
  if (!(Math.abs(x) > 1e-280 && Math.abs(x) < Infinity)) return near;
  const [square, lost] = product(near, near);
  const [cube, more] = product(square, near);
  return near - (cube - x + (more + lost * near)) / (3 * square);
}

// The same for the length of a vector, scaled so that no square overflows or underflows.
function hypot(x, y) {
  const [least, most] = Math.abs(x) < Math.abs(y) ? [Math.abs(x), Math.abs(y)] : [Math.abs(y), Math.abs(x)];
  if (least === 0 || !Number.isFinite(most + least)) return Math.hypot(x, y);
  const scale = most > 1e140 ? 2 ** -600 : most < 1e-140 ? 2 ** 600 : 1;
  const near = Math.hypot(least * scale, most * scale);
  const [square, lost] = product(near, near);
  const [larger, more] = product(most * scale, most * scale);
  const [smaller, rest] = product(least * scale, least * scale);
  return (near - (square - larger - smaller + (lost - more - rest)) / (2 * near)) / scale;
}

// Put numbers into nested arrays of a shape.
function shaped(numbers, [count, ...rest]) {
  if (!rest.length) return Array.from(numbers);
  const size = numbers.length / count;
  return Array.from({ length: count }, (_, i) => shaped(numbers.subarray(i * size, (i + 1) * size), rest));
}
