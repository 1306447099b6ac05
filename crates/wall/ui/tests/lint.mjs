/** What the compiler does not see: the catalogue, texts outside it, inline parts of pages, the length of files, the lock. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (file) => readFileSync(join(ROOT, file), "utf8");
const json = (file) => JSON.parse(read(file));
const sources = readdirSync(join(ROOT, "src"), { recursive: true }).filter((file) => file.endsWith(".ts")).map((file) => join("src", file));
const pages = ["wall.html", "console.html", "staff.html"];
/** Without comments, which may say anything. */
const code = (file) => read(file).replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
const [vi, en] = [json("../texts/vi.json"), json("../texts/en.json")];
const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
/** Looked up by a name that data brings (`Prefix` in texts.ts). */
const BY_DATA = code("src/shared/texts.ts").match(/type Prefix =([^;]+);/)[1].match(/"(\w+)"/g).map((name) => name.slice(1, -1));

test("both languages say the same things", () => {
  assert.deepEqual(Object.keys(vi).sort(), Object.keys(en).sort());
  for (const [key, text] of Object.entries(vi)) {
    assert.ok(text.trim() && en[key].trim(), `${key} is empty`);
    assert.deepEqual(placeholders(text), placeholders(en[key]), `${key} has other placeholders in English`);
  }
});

test("every text that the pages name is there, and every text there is used", () => {
  const named = pages.flatMap((page) => [...read(page).matchAll(/data-text="([^"]+)"/g)].map(([, key]) => key));
  for (const key of named) assert.ok(key in vi, `${key} is used and has no text`);
  const all = sources.map(code).join("\n");
  for (const key of Object.keys(vi)) {
    const [first, ...rest] = key.split(".");
    const built = rest.length > 0 && (all.includes(`\`${first}.\${`) || all.includes(`\`${key.slice(0, key.lastIndexOf("."))}.\${`));
    assert.ok(named.includes(key) || BY_DATA.includes(first) || built || all.includes(`"${key}"`), `${key} is used nowhere`);
  }
});

test("what people read comes from the catalogue", () => {
  const marked = /[àáâãèéêìíòóôõùúýăđĩũơưạ-ỹ]/i;
  for (const file of sources) {
    // Fixed signs of the Vietnamese number and time format have their one place.
    if (file.endsWith("format.ts")) continue;
    for (const [, , text] of code(file).matchAll(/(["'`])((?:(?!\1).)*)\1/g)) assert.ok(!marked.test(text), `${file} says \`${text}\` itself`);
    const said = code(file).match(/(?:write\([^,()]+, |textContent = |make\("\w+", "[^"]*", )"[^"]*[A-Za-z]{2,} [A-Za-z]{2,}[^"]*"/);
    assert.equal(said, null, `${file} says its own words: ${said}`);
  }
  for (const page of pages) {
    const body = read(page).split("<body")[1].replace(/^[^>]*>/, "");
    assert.equal(body.replace(/<[^>]*>/g, "").trim(), "", `${page} has texts of its own`);
  }
});

test("pages hold nothing inline and nothing from elsewhere", () => {
  for (const page of pages) assert.ok(!/<script>|<style|style="|\son\w+=|https?:\/\//.test(read(page)), page);
  for (const file of sources) assert.ok(!/innerHTML|insertAdjacentHTML|https?:\/\/(?!www\.w3\.org\/2000\/svg)|setAttribute\("style"/.test(code(file)), file);
});

test("files are short and begin with what they are for", () => {
  for (const file of sources) {
    assert.ok(read(file).startsWith("/**"), `${file} does not say what it is`);
    assert.ok(read(file).split("\n").length <= 401, `${file} is too long`);
  }
});

test("the lock names no registry", () => {
  assert.ok(!/"resolved"|https?:\/\/[^"]*(npmjs|registry)/.test(read("package-lock.json")));
  for (const version of Object.values({ ...json("package.json").dependencies, ...json("package.json").devDependencies })) assert.match(version, /^\d+\.\d+\.\d+$/);
});
