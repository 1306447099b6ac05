/**
 * Requests to the server. Each answer is data, or says why there is none; a route that this server does not have is `missing`, so that
 * what needs it can stay hidden.
 */
import type { Session } from "./types";

export type Answer<T> = { ok: true; data: T; headers: Headers } | { ok: false; status: number; error: string };

let session: Session | null = null;

/** 0: nobody answered. */
export const missing = (answer: { ok: boolean; status?: number }): boolean => !answer.ok && (answer.status === 404 || answer.status === 405);

/** Longer than any answer but a stream takes. */
const PATIENCE = 20_000;

async function ask(path: string, init: RequestInit): Promise<Answer<Response>> {
  try {
    const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE), ...init });
    if (response.ok) return { ok: true, data: response, headers: response.headers };
    const text = await response.text();
    let error = text;
    try {
      error = (JSON.parse(text) as { error?: string }).error ?? text;
    } catch {
      // Not ours: a proxy's page. Its beginning says enough.
    }
    return { ok: false, status: response.status, error: error.slice(0, 300) };
  } catch (error) {
    return { ok: false, status: 0, error: String(error) };
  }
}

export async function get<T>(path: string): Promise<Answer<T>> {
  const answer = await ask(path, {});
  return answer.ok ? read<T>(answer.data) : answer;
}

export async function post<T>(path: string, body: unknown = {}): Promise<Answer<T>> {
  const answer = await send(path, body);
  return answer.ok ? read<T>(answer.data) : answer;
}

/** For answers that are files. */
export async function send(path: string, body: unknown): Promise<Answer<Response>> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (session?.csrf) headers["x-csrf-token"] = session.csrf;
  return ask(path, { method: "POST", headers, body: JSON.stringify(body) });
}

async function read<T>(response: Response): Promise<Answer<T>> {
  try {
    const text = await response.text();
    return { ok: true, data: (text ? JSON.parse(text) : null) as T, headers: response.headers };
  } catch (error) {
    return { ok: false, status: 0, error: String(error) };
  }
}

/** Takes an order's path apart from ids that hold `:` and `.`. */
export const path = (...parts: string[]): string => `/api/${parts.map(encodeURIComponent).join("/")}`;

export function query(values: Record<string, string | number | undefined>): string {
  const list = Object.entries(values).filter((entry): entry is [string, string | number] => entry[1] !== undefined && entry[1] !== "");
  return list.length ? `?${new URLSearchParams(list.map(([name, value]) => [name, String(value)]))}` : "";
}

/**
 * Who is here: a session, `false` when the server asks for one, undefined when it cannot be reached. A token given as `#token=...`
 * becomes a cookie and leaves the address bar.
 */
export async function whoAmI(): Promise<Session | false | undefined> {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  const init = token ? { method: "POST", headers: { authorization: `Bearer ${token}` } } : {};
  const answer = await ask("/api/session", init);
  if (!answer.ok) return answer.status === 401 ? false : undefined;
  if (token) history.replaceState(null, "", location.pathname + location.search);
  const data = await read<Session>(answer.data);
  if (!data.ok) return undefined;
  session = data.data;
  return session;
}

export async function login(user: string, password: string): Promise<Answer<Session>> {
  const answer = await post<Session>("/api/login", { user, password });
  if (answer.ok) session = answer.data;
  return answer;
}

const RIGHTS: Record<string, readonly string[]> = {
  viewer: ["view"],
  operator: ["view", "acknowledge", "operate"],
  flood: ["view", "acknowledge", "release"],
  police: ["view", "review"],
  admin: ["view", "acknowledge", "operate", "release", "audit"],
};

export function may(who: Session | null, right: string): boolean {
  return (who?.rights ?? RIGHTS[who?.role ?? ""] ?? []).includes(right);
}
