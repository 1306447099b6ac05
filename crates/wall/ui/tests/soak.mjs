/**
 * A storm at 60 times real speed in front of the wall: `npm run soak -- MINUTES` (30 by default). Prints the heap after collection and the number of
 * nodes each half minute, and at the end the slope of both over the second half.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BIN, ROOT, browse, freePort, inFront, pause, waitFor } from "./support.mjs";

const minutes = Number(process.argv[2] ?? 30);
const dir = mkdtempSync(join(tmpdir(), "huong-soak-"));
const port = await freePort();
const demo = spawn(
  BIN,
  ["demo", "--speed", "60", "--cameras", "40", "--start", "2025-10-26T18:00:00+07:00", "--listen", `127.0.0.1:${port}`, "--broker", `127.0.0.1:${await freePort()}`, "--data", join(dir, "store")],
  { cwd: ROOT, stdio: "ignore" },
);
await waitFor("the demo", () => fetch(`http://127.0.0.1:${port}/healthz`).then((answer) => answer.ok, () => false));
const front = await inFront(port);
const browser = await browse();
const page = await (await browser.newContext({ viewport: { width: 1920, height: 1080 } })).newPage();
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
await page.goto(`http://127.0.0.1:${front?.httpServer.address().port ?? port}/wall`);
const cdp = await page.context().newCDPSession(page);
await cdp.send("HeapProfiler.enable");

const start = Date.now();
const seen = [];
while (Date.now() - start < minutes * 60_000) {
  await pause(30_000);
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  const { nodes, jsEventListeners } = await cdp.send("Memory.getDOMCounters");
  const elements = await page.evaluate(() => document.querySelectorAll("*").length);
  const { alerts, values } = await fetch(`http://127.0.0.1:${port}/api/snapshot`).then((answer) => answer.json());
  const at = (Date.now() - start) / 60_000;
  seen.push({ at, heap: usedSize / 1e6, nodes, elements });
  console.log(`${at.toFixed(1)} min  heap ${(usedSize / 1e6).toFixed(2)} MB  nodes ${nodes}  elements ${elements}  listeners ${jsEventListeners}  (the server holds ${alerts.length} alerts, ${values.length} values)`);
}
const late = seen.slice(seen.length >> 1);
const slope = (of) => {
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const [x, y] = [mean(late.map(({ at }) => at)), mean(late.map(of))];
  return late.reduce((sum, row) => sum + (row.at - x) * (of(row) - y), 0) / late.reduce((sum, row) => sum + (row.at - x) ** 2, 0);
};
console.log(`second half: heap ${(slope(({ heap }) => heap) * 1000).toFixed(1)} kB/min, nodes ${slope(({ nodes }) => nodes).toFixed(2)}/min, elements ${Math.min(...seen.map(({ elements }) => elements))} to ${Math.max(...seen.map(({ elements }) => elements))}, errors ${errors.length}`);
for (const error of errors.slice(0, 3)) console.log(error);
await browser.close();
front?.httpServer.closeAllConnections?.();
front?.httpServer.close();
demo.kill("SIGINT");
await new Promise((done) => demo.once("exit", done));
rmSync(dir, { recursive: true, force: true });
