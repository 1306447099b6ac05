/** Web pushes: the browser's own service carries them, so they come when the page is closed. */
import { get, post } from "../shared/api";

/** Whether this server and this browser can; the key when they do. */
export async function key(): Promise<string | null> {
  if (!("PushManager" in window) || !("serviceWorker" in navigator)) return null;
  const answer = await get<{ key: string }>("/api/push/key");
  return answer.ok ? answer.data.key : null;
}

export async function subscribe(key: string): Promise<string | null> {
  try {
    if ((await Notification.requestPermission()) !== "granted") return Notification.permission;
    const { pushManager } = await navigator.serviceWorker.ready;
    const subscription = (await pushManager.getSubscription()) ?? (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) }));
    const answer = await post("/api/push/subscribe", subscription.toJSON());
    return answer.ok ? null : answer.error;
  } catch (error) {
    return String(error);
  }
}

export async function subscribed(): Promise<boolean> {
  const worker = await navigator.serviceWorker.getRegistration();
  return Boolean(await worker?.pushManager.getSubscription());
}

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}
