/**
 * What a test of the screens needs: a real broker, the real program with a configuration of its own, a real browser. Everything ends with the
 * test, and waiting is always for a condition with a deadline.
 */
import assert from "node:assert/strict";
import { spawn, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { preview } from "vite";

const UI = fileURLToPath(new URL("..", import.meta.url));
export const ROOT = join(UI, "../../..");
export const BIN = process.env.HUONG_BIN ?? join(ROOT, "target/debug/huong");
export const OPERATOR = "operator-token-0123456789";
/** Signs in with a password. */
export const PERSON = { name: "Huong", password: "mot-mat-khau-dai" };
export const VIEWER = "viewer-token-0123456789";
/** Longer than anything takes on a busy machine; a test that reaches it has failed. */
export const PATIENCE = 90_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls until `found` gives something. */
export async function waitFor(what, found) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await pause(20);
  }
}

export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

const listens = (port) =>
  new Promise((done) => {
    const socket = connect(port, "127.0.0.1", () => done(socket.destroy() && true)).once("error", () => done(false));
  });

const ended = (child) => new Promise((done) => (child.exitCode !== null || child.signalCode !== null ? done() : child.once("exit", done)));

export async function end(child, signal = "SIGKILL") {
  child.kill(signal);
  await ended(child);
}

/** mosquitto on a port of its own, keeping sessions and messages over a restart. */
export class Broker {
  static async start(dir) {
    const broker = new Broker();
    broker.port = await freePort();
    broker.config = join(dir, "mosquitto.conf");
    writeFileSync(broker.config, `listener ${broker.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\npersistence true\npersistence_location ${dir}/\nuser root\n`);
    await broker.up();
    return broker;
  }

  async up() {
    const program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].find(existsSync) ?? "mosquitto";
    this.child = spawn(program, ["-c", this.config], { stdio: "ignore" });
    await waitFor("mosquitto to listen", () => listens(this.port));
  }

  down() {
    return end(this.child, "SIGTERM");
  }

  /** A reading, acknowledged by the broker. */
  publish(topic, payload) {
    execFileSync("mosquitto_pub", ["-h", "127.0.0.1", "-p", String(this.port), "-q", "1", "-t", topic, "-m", JSON.stringify(payload)]);
  }

  level(sensor, value, ago = 0) {
    this.publish(`hue/sensors/water_level/${sensor}`, { sensor, kind: "water_level", ts: Date.now() - ago, value, unit: "m" });
  }
}

/** `huong run` with its own store and wall. */
export class Program {
  /** `more` gives further lines of the configuration, by the program's address. */
  static async start(dir, broker, more = () => ({})) {
    const program = new Program();
    program.dir = dir;
    program.port = await freePort();
    const tokens = join(dir, "tokens");
    const users = join(dir, "users");
    writeFileSync(users, execFileSync(BIN, ["user", "admin", PERSON.name], { input: `${PERSON.password}\n` }));
    writeFileSync(tokens, `operator Lan ${OPERATOR}\nviewer wall ${VIEWER}\n`);
    const { notify = "config/notify.toml", tail = "" } = more(`http://127.0.0.1:${program.port}`);
    writeFileSync(
      join(dir, "huong.toml"),
      `notify = ${JSON.stringify(notify)}\nstore.dir = ${JSON.stringify(join(dir, "store"))}\n[mqtt]\nport = ${broker.port}\nretry = "1s"\n[wall]\nlisten = "127.0.0.1:${program.port}"\ntokens_file = ${JSON.stringify(tokens)}\nusers_file = ${JSON.stringify(users)}\ndir = ${JSON.stringify(join(dir, "wall"))}\nmap = "config/basemap.geojson"\n${tail}`,
    );
    await program.up();
    await waitFor("the subscription", async () => (await program.get("/api/snapshot"))?.figures?.broker_connected);
    await program.front();
    return program;
  }

  get url() {
    return `http://127.0.0.1:${this.shown ?? this.port}`;
  }

  async get(path) {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { authorization: `Bearer ${OPERATOR}` } });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  async up() {
    const log = openSync(join(this.dir, "log.txt"), "a");
    this.child = spawn(BIN, ["run", "--config", join(this.dir, "huong.toml")], { cwd: ROOT, stdio: ["ignore", "ignore", log] });
    await waitFor("the wall to answer", async () => {
      if (this.child.exitCode !== null) throw new Error(`huong ended at its start:\n${readFileSync(join(this.dir, "log.txt"), "utf8").slice(-2000)}`);
      return this.get("/healthz");
    });
  }

  down() {
    return end(this.child);
  }

  /** A program that was built before these pages serves others. */
  async front() {
    this.preview = await inFront(this.port);
    this.shown = this.preview?.httpServer.address().port;
  }
}

/** vite's preview before the program at `port`, or nothing when that serves this very build itself. */
export async function inFront(port) {
  const served = await (await fetch(`http://127.0.0.1:${port}/console`)).text();
  if (served === readFileSync(join(UI, "dist/console.html"), "utf8")) return undefined;
  console.log(`# ${BIN} does not serve this build of the pages: testing it behind vite preview`);
  process.env.HUONG_URL = `http://127.0.0.1:${port}`;
  return preview({ root: UI, logLevel: "silent", preview: { port: await freePort(), strictPort: true } });
}

const BROWSER = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--disable-dev-shm-usage"],
};

export const browse = () => chromium.launch(BROWSER);

/** A browser with a profile of its own, on the desktop at `bus`. */
export const browseAt = (profile, bus) => chromium.launchPersistentContext(profile, { ...BROWSER, env: { ...process.env, DBUS_SESSION_BUS_ADDRESS: bus } });

export async function system() {
  const dir = mkdtempSync(join(tmpdir(), "huong-screens-"));
  const broker = await Broker.start(dir);
  const program = await Program.start(dir, broker);
  const browser = await browse();
  const close = async () => {
    await browser.close();
    program.preview?.httpServer.closeAllConnections?.();
    program.preview?.httpServer.close();
    await end(program.child);
    await end(broker.child);
    rmSync(dir, { recursive: true, force: true });
  };
  return { broker, program, browser, close };
}

/** A page of its own context, signed in by a device token; whatever it says as an error is kept in `page.errors`. */
export async function open({ browser, program }, path, token, viewport = { width: 1920, height: 1080 }) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    // A server that is down and a route that is not there are the page's business, and the browser reports them by itself.
    if (message.type() === "error" && !/Failed to load resource|ERR_/.test(message.text())) page.errors.push(message.text());
  });
  await page.goto(`${program.url}${path}${token ? `#token=${token}` : ""}`);
  return page;
}

/** Waits until the page shows all of `parts`. */
export async function shows(page, ...parts) {
  let text = "";
  try {
    await waitFor(parts.join(", "), async () => {
      // A page that loads itself anew has no text for a moment.
      text = (await page.evaluate(() => document.body?.innerText ?? "").catch(() => "")).replace(/\s+/g, " ");
      return parts.every((part) => text.includes(part));
    });
  } catch (error) {
    throw new Error(`${error.message} in: ${text.slice(0, 3000)}`);
  }
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** No serious finding of axe on the page as it stands. */
export async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  console.log(`# axe on ${name}: ${violations.length} findings, ${grave.length} serious or critical`);
  assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.slice(0, 5).map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary?.slice(0, 200)}`)]), []);
}
