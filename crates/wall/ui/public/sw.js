/**
 * The phone's helper: keeps the shell, asks the network first for data and shows the last answer when there is none, shows web pushes.
 * It never keeps what a person must not see after signing out: only the page's own files and one snapshot, which goes with the session.
 */
const SHELL = "huong-shell-1";
const DATA = "huong-data-1";
const PAGE = "/staff";
/** Answers that a phone without a connection may show, with their age. */
const KEPT = ["/api/snapshot", "/api/map", "/api/map/source"];

self.addEventListener("install", (event) => {
  event.waitUntil(keepShell().then(() => self.skipWaiting()));
});

/** The page and the files that it names; those that it loads later are kept when they first come. */
async function keepShell() {
  const cache = await caches.open(SHELL);
  const page = await (await fetch(PAGE)).text();
  const files = [...page.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, file]) => file);
  await cache.addAll([PAGE, "/icon.svg", "/staff.webmanifest", ...files]);
}

self.addEventListener("activate", (event) => {
  const stay = [SHELL, DATA];
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter((name) => !stay.includes(name)).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});

self.addEventListener("message", (event) => {
  if (event.data === "forget") event.waitUntil(caches.delete(DATA));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { pathname, origin } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (pathname === PAGE || KEPT.includes(pathname)) event.respondWith(networkFirst(request, pathname === PAGE ? SHELL : DATA));
  else if (pathname.startsWith("/assets/")) event.respondWith(cacheFirst(request));
});

/** Longer than a bad link takes for a small answer; then what was kept is better than nothing. */
const PATIENCE = 8000;

async function networkFirst(request, store) {
  const cache = await caches.open(store);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.ok) await cache.put(request, answer.clone());
    else if (answer.status === 401 || answer.status === 403) await caches.delete(DATA);
    return answer;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}

/** Names carry a hash of what is in the file, so a kept one is the right one. Files of older builds go when the shell names new ones. */
async function cacheFirst(request) {
  const cache = await caches.open(SHELL);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    const names = await cache.keys();
    if (names.length > 24) await Promise.all(names.filter(({ url }) => new URL(url).pathname.startsWith("/assets/")).slice(0, names.length - 24).map((name) => cache.delete(name)));
    await cache.put(request, answer.clone());
  }
  return answer;
}

self.addEventListener("push", (event) => {
  let message = {};
  try {
    message = event.data?.json() ?? {};
  } catch {
    message = { body: event.data?.text() ?? "" };
  }
  // `<alert>/<step>/<person>`: what is news of an alert takes the place of what was said of it, and is heard.
  const alert = message.key?.split("/").slice(0, -2).join("/");
  const { url, acknowledge } = message;
  event.waitUntil(
    self.registration.showNotification(message.title ?? "huong", {
      body: message.body ?? "",
      ...(alert && { tag: alert, renotify: true }),
      data: { url, acknowledge },
      actions: acknowledge ? [{ action: "acknowledge", title: "Nhận / Acknowledge" }] : [],
      icon: "/icon.svg",
      requireInteraction: true,
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { url, acknowledge } = event.notification.data ?? {};
  // Only our own pages: a message cannot send anyone elsewhere.
  const wanted = new URL((event.action === "acknowledge" ? acknowledge : url) ?? PAGE, location.origin);
  const target = wanted.origin === location.origin ? wanted : new URL(PAGE, location.origin);
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then((open) => {
      // A page reads what stands behind # when it is loaded: an open one would not see it.
      const page = !target.hash && open.find((client) => new URL(client.url).pathname === target.pathname);
      return page ? page.focus() : self.clients.openWindow(target.href);
    }),
  );
});
