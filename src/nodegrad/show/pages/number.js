// Numbers as Python's nodegrad.show.text.number writes them.

/** The decimal digits of a number, rounded to some count of them, half to even; and its exponent. */
function rounded(x, count) {
  const size = Math.abs(x);
  const [mantissa, exponent] = size.toExponential(count - 1).split("e");
  if (size.toExponential(count).split("e")[0].endsWith("5")) {
    // Then it may be a tie, which the exact digits tell; they take five times as long to write.
    const digits = size.toExponential(60).split("e")[0].replace(".", "");
    const before = digits.slice(0, count);
    if (/^50*$/.test(digits.slice(count)) && Number(before.at(-1)) % 2 === 0) return [before, Number(exponent)];
  }
  return [mantissa.replace(".", ""), Number(exponent)];
}

/** Look up an entry of a table by its index, rounded down; NaN outside the table. */
function take(index, ...table) {
  return index >= 0 && index < table.length ? table[Math.floor(index)] : NaN;
}

/** Write a number with so many significant digits, as %g does in C; `keep` leaves trailing zeros. */
function general(x, count, keep = false) {
  const [digits, exponent] = rounded(x, count);
  const sign = x < 0 ? "-" : "";
  const trim = (text) => (keep ? text : text.replace(/\.?0*$/, ""));
  if (exponent < -4 || exponent >= count) {
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${trim(`${digits[0]}.${digits.slice(1)}`)}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  const padded = "0".repeat(Math.max(0, -exponent)) + digits;
  const point = Math.max(0, exponent) + 1;
  const text = sign + trim(`${padded.slice(0, point)}.${padded.slice(point)}`);
  return text.endsWith(".") ? `${text}0` : text;
}

/** Write a number in full, as String does, and with the sign of -0, which 1/x tells from 0. */
const exact = (x) => (Object.is(x, -0) ? "-0" : String(x));

/** Write a number short but honestly: a trailing zero where it is rounded, none where it is exact. */
function number(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x < 0 ? "-inf" : "inf";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return exact(x);
  const count = size >= 1 && size < 1e6 ? Math.max(4, Math.floor(Math.log10(size)) + 2) : 4;
  const short = general(x, count);
  return Number(short) === Number(general(x, 12)) ? short : general(x, count, true);
}

/** Read a number that someone typed; undefined if it is none. */
function parsed(text) {
  if (/^\s*[-+−]?\d{1,3}(,\d{3})+\s*$/.test(text)) return undefined; // a thousand to some, 1 to others
  const plain = text.trim().toLowerCase().replace("−", "-").replace(",", ".");
  if (/^-?inf(inity)?$/.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  if (plain === "nan") return NaN;
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(plain) && Number.isFinite(Number(plain)) ? Number(plain) : undefined;
}
