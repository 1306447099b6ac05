/**
 * Numbers, ages and texts as people in Huế read them: decimal comma, 24-hour clock, UTC+7, Vietnamese first.
 * @module
 */

/** How many decimals a unit is read with. */
const DECIMALS = { m: 2, "m/s": 1, mm: 1, "m3/s": 0, "ug/m3": 0, Mm3: 1, cm: 0, deg: 0, 1: 0 };
/** How a unit is written, where not as it is kept. */
const SYMBOLS = { "m3/s": "m³/s", "ug/m3": "µg/m³", Mm3: "triệu m³", deg: "°", 1: "" };

/**
 * @param {number} value
 * @param {string} [unit] unknown units get as many decimals as the size of the number bears
 * @returns {string} with a decimal comma
 */
export function number(value, unit) {
  const size = Math.abs(value);
  const decimals = DECIMALS[unit] ?? (Number.isInteger(value) ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0);
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace(".", ",");
}

/** @param {string} unit @returns {string} */
export const symbol = (unit) => SYMBOLS[unit] ?? unit;

/**
 * @param {number} millis
 * @returns {string} `42 s`, `7 ph`, `3 g 05`, `2 ngày`: seconds, minutes (phút), hours (giờ), days
 */
export function age(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ph`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} g ${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}`;
  return `${Math.floor(seconds / 86400)} ngày`;
}

const TIME = new Intl.DateTimeFormat("vi-VN", { timeZone: "Asia/Ho_Chi_Minh", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat("vi-VN", { timeZone: "Asia/Ho_Chi_Minh", day: "2-digit", month: "2-digit", year: "numeric" });

/** @param {number} millis since the epoch @returns {string} `HH:mm:ss` */
export const time = (millis) => TIME.format(millis);

/** @param {number} millis since the epoch @returns {string} `dd/MM/yyyy` */
export const date = (millis) => DATE.format(millis);

/** One text catalogue in two languages. */
export class Texts {
  /** @param {Record<string, string>} vi @param {Record<string, string>} en */
  constructor(vi, en) {
    this.tables = { vi, en };
  }

  /** @returns {Promise<Texts>} */
  static async load() {
    const load = async (/** @type {string} */ file) => (await fetch(file)).json();
    return new Texts(await load("/assets/vi.json"), await load("/assets/en.json"));
  }

  /** @param {string} key @param {Record<string, string | number>} [values] @returns {string} */
  vi(key, values = {}) {
    return fill(this.tables.vi[key] ?? key, values);
  }

  /** @param {string} key @param {Record<string, string | number>} [values] @returns {{vi: string, en: string}} */
  both(key, values = {}) {
    return { vi: this.vi(key, values), en: fill(this.tables.en[key] ?? key, values) };
  }

  /** @param {string} name @returns {string} a field without a text is shown by its name */
  field(name) {
    return this.tables.vi[`field.${name}`] ?? name;
  }

  /** @param {string} kind @returns {{vi: string, en: string}} a kind without a text is shown by its id */
  kind(kind) {
    const key = `kind.${kind}`;
    return key in this.tables.vi ? this.both(key) : { vi: kind.toUpperCase(), en: "" };
  }
}

/** @param {string} text @param {Record<string, string | number>} values */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
