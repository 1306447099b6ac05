/**
 * The police's queue in a real browser, before a running program that keeps records: `node tests/review.mjs BASE USER PASSWORD PLATE`, the plate being what
 * the newest record's was read as. A test of the repository's root starts it, which can make records.
 */
import assert from "node:assert/strict";
import { accessible, browse, open, shows, waitFor } from "./support.mjs";

const [url, user, password, plate] = process.argv.slice(2);
const browser = await browse();
try {
  const page = await open({ browser, program: { url } }, "/console", null);
  await shows(page, "Đăng nhập");
  await page.locator("input[autocomplete=username]").fill(user);
  await page.locator("input[type=password]").fill(password);
  await page.keyboard.press("Enter");
  await shows(page, "công an");
  await page.getByRole("tab", { name: /Violations/ }).click();
  await shows(page, "Không chấp hành đèn tín hiệu");
  await accessible(page, "/console, violations");
  await page.locator(".queue button.entry").first().click();
  await page.locator("dialog[open] input, dialog[open] textarea").first().fill("khiếu nại 12");
  await page.locator("dialog[open] button.primary").click();
  await shows(page, plate, "không sửa");
  await waitFor("the pictures", () => page.evaluate(() => [...document.querySelectorAll("img")].filter((image) => image.complete && image.naturalWidth > 0).length >= 3));
  await accessible(page, "/console, a record");
  await page.getByRole("button", { name: /^Bác bỏ/ }).click();
  await accessible(page, "/console, rejecting a record");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^Chấp nhận/ }).click();
  await waitFor("the decision", () => page.evaluate(() => document.querySelector(".record").children.length === 0));
  assert.deepEqual(page.errors, []);
} finally {
  await browser.close();
}
