/**
 * Numbers, ages and times as people in Huế read them: decimal comma, 24-hour clock, UTC+7. In English (`?lang=en`) a decimal point.
 */
import { lang } from "./texts";

/** How many decimals a unit is read with. */
const DECIMALS: Record<string, number> = { m: 2, "m/s": 1, mm: 1, "m3/s": 0, "ug/m3": 0, Mm3: 1, cm: 0, deg: 0, "1": 0 };
/** How a unit is written, where not as it is kept. */
const SYMBOLS: Record<string, string> = { "m3/s": "m³/s", "ug/m3": "µg/m³", Mm3: "Mm³", deg: "°", "1": "" };

const comma = lang !== "en";

/** Unknown units get as many decimals as the size of the number bears. */
export function number(value: number, unit = ""): string {
  const size = Math.abs(value);
  const decimals = DECIMALS[unit] ?? (Number.isInteger(value) ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0);
  let text = value.toFixed(decimals);
  if (Number(text) === 0) text = text.replace("-", "");
  const [whole = "", fraction] = text.split(".");
  const digits = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, comma ? "." : ",") : whole;
  return fraction === undefined ? digits : `${digits}${comma ? "," : "."}${fraction}`;
}

export const symbol = (unit: string): string => SYMBOLS[unit] ?? unit;

/** `42 s`, `7 ph`, `3 g 05`, `2 ngày`: seconds, minutes (phút), hours (giờ), days. */
export function age(millis: number): string {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  const [minute, hour, day] = comma ? ["ph", "g", "ngày"] : ["min", "h", "d"];
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ${minute}`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} ${hour} ${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}`;
  return `${Math.floor(seconds / 86_400)} ${day}`;
}

const ZONE = { timeZone: "Asia/Ho_Chi_Minh", hourCycle: "h23" } as const;
const TIME = new Intl.DateTimeFormat("vi-VN", { ...ZONE, hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTE = new Intl.DateTimeFormat("vi-VN", { ...ZONE, hour: "2-digit", minute: "2-digit" });
// Not the Vietnamese locale's own: its short form is `28-10`, and the wall says `28/10`.
const DATE = new Intl.DateTimeFormat("en-GB", { ...ZONE, day: "2-digit", month: "2-digit", year: "numeric" });
const SHORT = new Intl.DateTimeFormat("en-GB", { ...ZONE, day: "2-digit", month: "2-digit" });

/** `HH:mm:ss`. */
export const time = (millis: number): string => TIME.format(millis);
/** `HH:mm`. */
export const minute = (millis: number): string => MINUTE.format(millis);
/** `dd/MM/yyyy`. */
export const date = (millis: number): string => DATE.format(millis);
/** `HH:mm dd/MM`. */
export const moment = (millis: number): string => `${MINUTE.format(millis)} ${SHORT.format(millis)}`;
/** `HH:mm:ss dd/MM/yyyy`. */
export const full = (millis: number): string => `${TIME.format(millis)} ${DATE.format(millis)}`;

/** UTC+7 has no summer time, so a local time typed by a person is a fixed shift away. */
const SHIFT = 7 * 3_600_000;

/** For `<input type="datetime-local">`. */
export const toInput = (millis: number): string => new Date(millis + SHIFT).toISOString().slice(0, 16);
export const fromInput = (text: string): number => Date.parse(`${text}Z`) - SHIFT;
