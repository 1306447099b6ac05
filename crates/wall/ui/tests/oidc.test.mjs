/**
 * Signing in with the city's own accounts in a real browser: from the page over the provider's and back. The provider is another site to the browser, as it is
 * in a city: `localhost`, and the pages are at 127.0.0.1.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Broker, PERSON, Program, ROOT, browse, end, freePort, open, shows, waitFor } from "./support.mjs";

let dir, broker, provider, program, browser, all;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), "huong-oidc-"));
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const env = { ...process.env, PYTHONPATH: join(ROOT, "vendor/pytest") };
  provider = spawn("python3", [join(ROOT, "crates/wall/tests/peers/oidc.py"), String(port), "localhost"], { env, stdio: ["ignore", "ignore", "inherit"] });
  await waitFor("the provider", async () => {
    assert.equal(provider.exitCode, null, "the provider ended at its start");
    return fetch(`${issuer}/keys`).then((answer) => answer.ok, () => false);
  });
  writeFileSync(join(dir, "secret"), "a secret: of/the client\n");
  broker = await Broker.start(dir);
  program = await Program.start(dir, broker, (base) => ({
    tail: `[wall.oidc]
issuer = "${issuer}"
client_id = "huong"
secret_file = ${JSON.stringify(join(dir, "secret"))}
redirect = "${base}/api/oidc/callback"
claim = "realm.groups"
roles = [{ value: "huong-operators", role: "operator" }]
`.replace(/(value|role):/g, "$1 ="),
  }));
  browser = await browse();
  all = { program, browser };
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  program?.preview?.httpServer.closeAllConnections?.();
  program?.preview?.httpServer.close();
  if (program) await end(program.child);
  if (broker) await end(broker.child);
  if (provider) await end(provider);
  rmSync(dir, { recursive: true, force: true });
});

/** From the page to the provider, where the person is called `name`. */
async function goAs(page, name) {
  await page.getByRole("link", { name: /Đăng nhập bằng tài khoản của thành phố/ }).click();
  await shows(page, "Tài khoản thành phố");
  assert.match(page.url(), /^http:\/\/localhost:/, "at the provider's own site");
  await page.getByRole("link", { name, exact: true }).click();
}

test("a person clicks through the provider and is an operator on the console", async () => {
  const page = await open(all, "/console", null);
  await shows(page, "Đăng nhập", "Mật khẩu");
  await goAs(page, "Lan");
  await shows(page, "Lan", "trực ban", "Giao ca");
  assert.match(page.url(), /\/console$/, "nothing of the sign-in stays in the address");
  assert.deepEqual(await page.evaluate(async () => {
    const { role, name, login } = await (await fetch("/api/session")).json();
    return [role, name, login, document.cookie];
  }), ["operator", "Lan", true, ""], "no script reads the cookie");
  // The role is more than a name: what an operator may, this one does.
  broker.level("kimlong", 3.6);
  await shows(page, "đạt báo động III");
  await page.locator(".list .alert", { hasText: "Mực nước Kim Long" }).first().click();
  await shows(page, "Vì sao");
  await page.keyboard.press("a");
  await shows(page, "ĐÃ NHẬN: Lan");
  await page.getByRole("button", { name: /Log out/ }).click();
  await shows(page, "Mật khẩu");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("who has no role, or turns back at the provider, reads why in Vietnamese and is nobody", async () => {
  const page = await open(all, "/staff", null, { width: 390, height: 844 });
  for (const name of ["Khách", "Huỷ"]) {
    await shows(page, "Đăng nhập", "Mật khẩu");
    await goAs(page, name);
    await shows(page, "Tài khoản này không được vào; hãy báo người quản trị hệ thống");
    assert.match(page.url(), /\/staff$/, "back where it began");
    assert.equal(await page.evaluate(async () => (await fetch("/api/session")).status), 401);
  }
  assert.deepEqual(page.errors, []);
  await page.context().close();
});

test("a provider that is away is said to be, and the own users still sign in", async () => {
  // Started anew, the program does not know the provider yet.
  await program.down();
  await end(provider);
  await program.up();
  const page = await open(all, "/console", null);
  await shows(page, "Đăng nhập bằng tài khoản của thành phố");
  await page.getByRole("link", { name: /Đăng nhập bằng tài khoản của thành phố/ }).click();
  await shows(page, "Không tới được dịch vụ đăng nhập của thành phố");
  await page.locator("input[autocomplete=username]").fill(PERSON.name);
  await page.locator("input[type=password]").fill(PERSON.password);
  await page.keyboard.press("Enter");
  await shows(page, "quản trị");
  assert.deepEqual(page.errors, []);
  await page.context().close();
});
