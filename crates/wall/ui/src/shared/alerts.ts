/**
 * How alerts are told: gravest first, what nobody has taken before what somebody has, newest first.
 */
import type { Alert } from "./types";

const LEVELS: Record<string, number> = { extreme: 1, severe: 2, moderate: 3, minor: 4 };

/** 1 (gravest) to 4; what speaks of a sensor and not of the city is always 4. */
export const level = (alert: { severity: string; silence?: boolean }): number => (alert.silence ? 4 : (LEVELS[alert.severity] ?? 4));

/** States told singly; the others are suppressed, shelved or counted by a group. */
const LISTED = new Set(["open", "acknowledged", "stale", "latched", "flapping"]);

export const listed = (alert: Alert): boolean => LISTED.has(alert.state);

export const taken = (alert: Alert): boolean => alert.ack !== null;

export function order(a: Alert, b: Alert): number {
  return level(a) - level(b) || Number(taken(a)) - Number(taken(b)) || b.raised - a.raised || (a.id < b.id ? -1 : 1);
}

/** The gravest open level by key; what a graver alert hides does not count. */
export function gravest(alerts: Iterable<Alert>): Map<string, number> {
  const levels = new Map<string, number>();
  for (const alert of alerts) {
    if (alert.inhibited_by || alert.state === "shelved" || alert.key === "*") continue;
    levels.set(alert.key, Math.min(level(alert), levels.get(alert.key) ?? 4));
  }
  return levels;
}

export const exercising = (alerts: Iterable<Alert>): boolean => [...alerts].some((alert) => alert.about === "exercise" && alert.holds);

/** The alarm level of a river, 0 to 3, by the alerts that hold; the highest of all stations. */
export function floodLevel(alerts: Iterable<Alert>): number {
  let highest = 0;
  for (const { rule, state } of alerts) {
    const digit = /^river-bd([123])$/.exec(rule)?.[1];
    if (digit && state !== "suppressed" && state !== "shelved") highest = Math.max(highest, Number(digit));
  }
  return highest;
}
