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

const expm1 = Math.expm1;

const log10 = Math.log10;

const log1p = Math.log1p;

const atan2 = Math.atan2;

const sinh = Math.sinh;

const cosh = Math.cosh;

const tanh = Math.tanh;

const asinh = Math.asinh;

const acosh = Math.acosh;

const atanh = Math.atanh;

function fmod(x, y) {
  return x % y;
}

// Browsers' own exponentials, logarithms and angles are 1 ulp off here and there, and differ. A sum that cancels
// makes much of that. Here they carry twice the digits, and round as C's libraries do but for 1 number in 1,000.

// What is lost when x + y is rounded (Knuth 1969).
function sum_error(x, y) {
  const part = x + y - x;
  return x - (x + y - part) + (y - part);
}

// What is lost when x·y is rounded (Dekker 1971).
function product_error(x, y) {
  const high = 134217729 * x - (134217729 * x - x);
  const other = 134217729 * y - (134217729 * y - y);
  const [low, rest] = [x - high, y - other];
  return high * other - x * y + (high * rest + low * other) + low * rest;
}

const POWERS_OF_2 = Float64Array.from({ length: 1200 }, (_, i) => Math.pow(2, i - 600));

// x·2ⁿ in two factors, so that neither overflows before the other.
function scaled_by_2(x, n) {
  const half = n >> 1;
  return x * POWERS_OF_2[600 + half] * POWERS_OF_2[600 + n - half];
}

// 2^(i/128) for i = 0 ... 127, and what is left of each.
const ROOTS_OF_2 = (() => {
  const [step, more, roots, rests] = [1.0054299011128027, 9.499186535455032e-17, [1], [0]];
  for (let i = 0; i < 127; i++) {
    const root = roots[i] * step;
    const rest = product_error(roots[i], step) + (roots[i] * more + rests[i] * step);
    roots.push(root + rest);
    rests.push(root - (root + rest) + rest);
  }
  return [roots, rests];
})();

// e^(x + low) = (y + rest)·2ⁿ, as [n, y, rest].
function exp_parts(x, low) {
  const n = Math.round(x * 184.6649652337873); // x is near n·ln(2)/128
  const r = x - n * 0.005415212347998022;
  const small = low - n * 1.2655086083325438e-13;
  const [root, rest] = [ROOTS_OF_2[0][n & 127], ROOTS_OF_2[1][n & 127]];
  const z = r + small;
  const more = small + z * z * (0.5 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120 + z / 720))));
  const y = root + root * r;
  return [n >> 7, y, root * r - (y - root) + (product_error(root, r) + rest + root * more + rest * r)];
}

function exp(x) {
  if (!(Math.abs(x) < 745.2)) return Math.exp(x);
  const [n, y, rest] = exp_parts(x, 0);
  return scaled_by_2(y + rest, n);
}

function exp2(x) {
  if (!(Math.abs(x) < 1080)) return Math.pow(2, x);
  const whole = Math.round(x);
  const part = x - whole;
  const low = product_error(part, Math.LN2) + part * 2.3190468138462996e-17;
  const [n, y, rest] = exp_parts(part * Math.LN2, low);
  return scaled_by_2(y + rest, n + whole);
}

// The natural logarithm as [y, rest], by one step of Newton's method.
function log_parts(x) {
  const near = Math.log(x);
  const [n, y, rest] = exp_parts(-near, 0);
  const part = scaled_by_2(x, n);
  return [near, part * y - 1 + (product_error(part, y) + part * rest)];
}

function log(x) {
  if (!(x > 0 && x < Infinity)) return Math.log(x);
  const [y, rest] = log_parts(x);
  return y + rest;
}

function log2(x) {
  const near = Math.log2(x);
  if (!(x > 0 && x < Infinity) || Number.isInteger(near)) return near;
  const [y, rest] = log_parts(x);
  const whole = y * Math.LOG2E;
  return whole + (product_error(y, Math.LOG2E) + y * 2.0355273740931033e-17 + rest * Math.LOG2E);
}

// Math.pow gives nan for 1**nan and 1**inf, where IEEE 754 gives 1.
function pow(x, y) {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  const near = Math.pow(x, y);
  const ordinary = Number.isFinite(x) && Math.abs(y) < 1e20 && Math.abs(near) > 1e-300 && Math.abs(near) < 1e300;
  if (!ordinary || y === 0) return near;
  const [z, low] = log_parts(Math.abs(x));
  const [n, size, rest] = exp_parts(y * z, product_error(y, z) + y * low);
  return copysign(scaled_by_2(size + rest, n), near);
}

// Cosine and sine of i·π/256 for i = 0 ... 64, each with what is left: [c, rest, s, rest].
const CIRCLE = (() => {
  const first = [0.9999247018391445, 3.793108251266801e-17, 0.012271538285719925, 6.919790764028317e-19];
  const [a, a_rest, b, b_rest] = first;
  const turn = (x, x_rest, y, y_rest) => {
    const total = x * a + y * b;
    const lost = sum_error(x * a, y * b) + product_error(x, a) + product_error(y, b);
    const rest = lost + (x * a_rest + x_rest * a) + (y * b_rest + y_rest * b);
    return [total + rest, total - (total + rest) + rest];
  };
  const points = [[1, 0, 0, 0]];
  for (let i = 0; i < 64; i++) {
    const [c, c_rest, s, s_rest] = points[i];
    points.push([...turn(c, c_rest, -s, -s_rest), ...turn(s, s_rest, c, c_rest)]);
  }
  return points;
})();

// Cosine and sine for |x| < 100,000, [c, rest, s, rest]: a point of the circle, turned by the angle that is left.
function circle_parts(x) {
  const n = Math.round(x * 81.48733086305042); // x is near n·π/256
  let [r, low] = [x - n * 0.012271846295334399, 0];
  for (const part of [7.750731046557435e-12, 4.469678679424668e-20, 1.2848638231503326e-28]) {
    low += sum_error(r, -n * part);
    r -= n * part;
  }
  const i = ((n + 64) & 127) - 64;
  const [c, c_rest, size, size_rest] = CIRCLE[Math.abs(i)];
  const [s, s_rest] = i < 0 ? [-size, -size_rest] : [size, size_rest];
  const square = r * r;
  const up = low - r * square * (1 / 6 - square * (1 / 120 - square / 5040)); // its sine is r + up
  const back = r * low + square * (0.5 - square * (1 / 24 - square / 720)); // its cosine is 1 - back
  const [x1, y1] = [c - s * r, s + c * r];
  const x2 = sum_error(c, -s * r) - product_error(s, r) + (c_rest - s * up - c * back - s_rest * r);
  const y2 = sum_error(s, c * r) + product_error(c, r) + (s_rest + c * up - s * back + c_rest * r);
  const quarter = ((n + 64) >> 7) & 3;
  if (quarter === 0) return [x1, x2, y1, y2];
  if (quarter === 1) return [-y1, -y2, x1, x2];
  return quarter === 2 ? [-x1, -x2, -y1, -y2] : [y1, y2, -x1, -x2];
}

function sin(x) {
  if (!(Math.abs(x) < 1e5 && Math.abs(x) > 1e-8)) return Math.sin(x);
  const [, , y, rest] = circle_parts(x);
  return y + rest;
}

function cos(x) {
  if (!(Math.abs(x) < 1e5)) return Math.cos(x);
  const [y, rest] = circle_parts(x);
  return y + rest;
}

function tan(x) {
  if (!(Math.abs(x) < 1e5 && Math.abs(x) > 1e-8)) return Math.tan(x);
  const [c, c_rest, s, s_rest] = circle_parts(x);
  const divisor = c + c_rest;
  const near = (s + s_rest) / divisor;
  const left = s - near * divisor + s_rest - product_error(near, divisor);
  return near + (left - near * (c - divisor + c_rest)) / divisor;
}

// The inverse functions take one step of Newton's method each.
function asin(x) {
  const near = Math.asin(x);
  if (!(Math.abs(x) < 1 && Math.abs(x) > 1e-8)) return near;
  const [c, , s, rest] = circle_parts(near);
  return near + (x - s - rest) / c;
}

function acos(x) {
  const near = Math.acos(x);
  if (!(Math.abs(x) < 1)) return near;
  const [c, rest, s] = circle_parts(near);
  return near + (c - x + rest) / s;
}

function atan(x) {
  const near = Math.atan(x);
  if (!(Math.abs(x) < 1e8 && Math.abs(x) > 1e-8)) return near;
  const [c, c_rest, s, s_rest] = circle_parts(near);
  return near + (x * c - s + (product_error(x, c) + x * c_rest - s_rest)) / (c + x * s);
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
  const [n, y, rest] = exp_parts(-x * x, -product_error(x, x));
  const t = (x - 3.75) / (x + 3.75);
  const tail = t * polynomial(t, ERFC);
  const value = 1.2375126308378275 + tail;
  const divisor = x + 0.5;
  const lost = rest / y - (0.5 - (divisor - x)) / divisor;
  const more = value * lost + (tail - (value - 1.2375126308378275)) + 9.94121159411551e-17;
  return scaled_by_2(y * (((value + more) / divisor) * 0.5), n);
}

// One step of Newton's method with the remainder in twice the digits.
function cbrt(x) {
  const near = Math.cbrt(x);
  if (!(Math.abs(x) > 1e-280 && Math.abs(x) < Infinity)) return near;
  const [square, lost] = [near * near, product_error(near, near)];
  return near - (square * near - x + (product_error(square, near) + lost * near)) / (3 * square);
}

// The same for the length of a vector, scaled so that no square overflows or underflows.
function hypot(x, y) {
  const [least, most] = Math.abs(x) < Math.abs(y) ? [Math.abs(x), Math.abs(y)] : [Math.abs(y), Math.abs(x)];
  if (least === 0 || !Number.isFinite(most + least)) return Math.hypot(x, y);
  const scale = most > 1e140 ? 2 ** -600 : most < 1e-140 ? 2 ** 600 : 1;
  const [a, b] = [least * scale, most * scale];
  const near = Math.hypot(a, b);
  const lost = product_error(near, near) - product_error(b, b) - product_error(a, a);
  return (near - (near * near - b * b - a * a + lost) / (2 * near)) / scale;
}

// Put numbers into nested arrays of a shape.
function shaped(numbers, [count, ...rest]) {
  if (!rest.length) return Array.from(numbers);
  const size = numbers.length / count;
  return Array.from({ length: count }, (_, i) => shaped(numbers.subarray(i * size, (i + 1) * size), rest));
}

// Put the numbers of nested arrays into a flat one, or refuse what is no number.
function flattened(name, count, given) {
  const found = given.flat(Infinity).flatMap((it) => (ArrayBuffer.isView(it) ? Array.from(it) : [it]));
  if (found.length !== count) throw new TypeError(`${name} takes ${count} numbers; got ${found.length}.`);
  const wrong = found.findIndex((it) => typeof it !== "number" && typeof it !== "boolean");
  if (wrong < 0) return Float64Array.from(found);
  throw new TypeError(`${name} takes ${count} numbers; number ${wrong + 1} is ${String(found[wrong])}.`);
}
