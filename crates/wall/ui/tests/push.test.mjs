/**
 * A web push from the real program to a click in a real browser. The push service between them is this test: the browser's own cannot be reached without
 * the internet, so the subscription's keys are made here (RFC 8291), and what was decrypted is handed to the browser as its service would.
 */
import assert from "node:assert/strict";
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Desktop } from "./desktop.mjs";
import { Broker, PERSON, Program, ROOT, browseAt, end, shows, waitFor } from "./support.mjs";

const PEOPLE = `
[[person]]
id = "${PERSON.name}"
name = "Chị Hương"
to = { push = "browser" }
[[route]]
id = "flood"
rules = ["river-bd*"]
[[shift]]
route = "flood"
people = ["${PERSON.name}"]
`;

const keys = createECDH("prime256v1");
const auth = randomBytes(16);
/** What the program sent to the push service. */
const posted = [];
let dir, broker, program, desktop, browser, service;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "huong-push-"));
  keys.generateKeys();
  service = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => posted.push({ headers: request.headers, body: Buffer.concat(parts) }) && response.writeHead(201).end());
  }).listen(0, "127.0.0.1");
  broker = await Broker.start(dir);
  program = await Program.start(dir, broker, (base) => {
    const notify = join(dir, "notify.toml");
    const shipped = readFileSync(join(ROOT, "config/notify.toml"), "utf8");
    const mine = shipped.replace("\n# base = ", `\nbase = "${base}" #`).replace("\n# subject = ", '\nhosts = ["127.0.0.1"]\nsubject = ');
    writeFileSync(notify, mine + PEOPLE);
    return { notify, tail: '[[sink]]\nname = "push"\nweb_push = {}\n' };
  });
  desktop = await Desktop.start();
  browser = await browseAt(join(dir, "profile"), desktop.address);
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  desktop?.close();
  program?.preview?.httpServer.closeAllConnections?.();
  program?.preview?.httpServer.close();
  service?.close();
  if (program) await end(program.child);
  if (broker) await end(broker.child);
  rmSync(dir, { recursive: true, force: true });
});

/** RFC 8291, 3: what the one browser reads that has the keys. */
function decrypt(body) {
  const [salt, theirs, sealed] = [body.subarray(0, 16), body.subarray(21, 21 + body[20]), body.subarray(21 + body[20])];
  const info = Buffer.concat([Buffer.from("WebPush: info\0"), keys.getPublicKey(), theirs]);
  const secret = hkdfSync("sha256", keys.computeSecret(theirs), auth, info, 32);
  const derive = (what, length) => Buffer.from(hkdfSync("sha256", secret, salt, `Content-Encoding: ${what}\0`, length));
  const cipher = createDecipheriv("aes-128-gcm", derive("aes128gcm", 16), derive("nonce", 12));
  cipher.setAuthTag(sealed.subarray(-16));
  const plain = Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]);
  assert.equal(plain.at(-1), 2, "the last record");
  return plain.subarray(0, -1).toString();
}

test("an alarm is encrypted, shown by the phone's helper, and a click acknowledges it", async () => {
  const page = await browser.newPage();
  const cdp = await browser.newCDPSession(page);
  const registered = new Promise((done) => cdp.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    const ours = registrations.find(({ scopeURL }) => scopeURL.startsWith(program.url));
    if (ours) done(ours.registrationId);
  }));
  await cdp.send("ServiceWorker.enable");
  await browser.grantPermissions(["notifications"], { origin: program.url });
  await page.goto(`${program.url}/staff`);
  await page.locator("input[autocomplete=username]").fill(PERSON.name);
  await page.locator("input[type=password]").fill(PERSON.password);
  await page.keyboard.press("Enter");
  await shows(page, "Tuyến của tôi");
  await page.evaluate(async () => { await navigator.serviceWorker.ready; });
  const subscription = { endpoint: `http://127.0.0.1:${service.address().port}/phone`, keys: { p256dh: keys.getPublicKey("base64url"), auth: auth.toString("base64url") } };
  const status = await page.evaluate(async (subscription) => {
    const { csrf } = await (await fetch("/api/session")).json();
    return (await fetch("/api/push/subscribe", { method: "POST", headers: { "content-type": "application/json", "x-csrf-token": csrf }, body: JSON.stringify(subscription) })).status;
  }, subscription);
  assert.equal(status, 200);

  broker.level("kimlong", 1.2);
  const { headers, body } = await waitFor("the push", () => posted[0]);
  assert.match(headers.authorization, /^vapid t=/);
  assert.ok(!body.includes("Kim Long"), "the service reads nothing");
  const text = decrypt(body);
  const message = JSON.parse(text);
  const registrationId = await registered;
  const deliver = (data) => cdp.send("ServiceWorker.deliverPushMessage", { origin: program.url, registrationId, data });
  await deliver(text);
  const shown = await waitFor("the notification", () => desktop.shown[0]);
  assert.equal(shown.title, message.title);
  assert.match(shown.title, /Kim Long/);
  // More on the same alert stands in its place.
  await deliver(JSON.stringify({ ...message, title: "Kim Long, lần hai" }));
  const again = await waitFor("the next notification", () => desktop.shown[1]);
  assert.equal(again.title, "Kim Long, lần hai");
  const told = () => page.evaluate(async () => (await (await navigator.serviceWorker.ready).getNotifications()).map(({ title }) => title));
  assert.deepEqual(await told(), ["Kim Long, lần hai"]);

  const desk = browser.waitForEvent("page");
  desktop.click(again);
  await shows(await desk, "Vì sao", "river-bd1");
  await (await desk).close();
  await deliver(text);
  const last = await waitFor("the last notification", () => desktop.shown[2]);
  const opened = browser.waitForEvent("page");
  desktop.click(last, last.actions[last.actions.indexOf("Nhận / Acknowledge") - 1]);
  const claim = await opened;
  await claim.locator(".claim button.primary").click();
  await waitFor("the acknowledgement", async () => (await program.get("/api/snapshot"))?.alerts.some(({ rule, ack }) => rule === "river-bd1" && ack?.by === "Chị Hương"));

  // A message of somebody else's making cannot lead away from here.
  await deliver(JSON.stringify({ title: "lạ", url: "https://elsewhere.example.invalid/", key: "x/1/y" }));
  const strange = await waitFor("the strange one", () => desktop.shown[3]);
  await page.close();
  await claim.close();
  const next = browser.waitForEvent("page");
  desktop.click(strange);
  const ours = await next;
  await ours.waitForURL(`${program.url}/staff`);
});
