/**
 * A desktop that shows a browser's notifications: a session bus of its own (dbus-daemon) with the notification service of freedesktop.org on it, as far as
 * a browser asks for it. What is shown stands in `shown`; a click on it is the service's own signal, so the browser takes it for a person's.
 */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { waitFor } from "./support.mjs";

const SERVICE = "org.freedesktop.Notifications";
const PATH = "/org/freedesktop/Notifications";
/** Types of messages and of header fields, D-Bus specification, "Message Protocol". */
const CALL = 1, REPLY = 2, SIGNAL = 4;
const FIELDS = { path: [1, "o"], interface: [2, "s"], member: [3, "s"], reply: [5, "u"], destination: [6, "s"], signature: [8, "g"] };
const NAMES = { 1: "path", 2: "interface", 3: "member", 5: "reply", 6: "destination", 7: "sender", 8: "signature" };

/** Values one behind the other, each aligned to its size. */
class Out {
  bytes = [];

  align(to) {
    while (this.bytes.length % to) this.bytes.push(0);
  }

  put(type, value) {
    if (type === "y") this.bytes.push(value);
    else if (type === "u") this.#number(value);
    else if (type === "g") this.bytes.push(value.length, ...Buffer.from(value), 0);
    else if (type === "as") this.array(4, () => value.forEach((text) => this.put("s", text)));
    else {
      const text = Buffer.from(value);
      this.#number(text.length);
      this.bytes.push(...text, 0);
    }
    return this;
  }

  array(align, fill) {
    this.#number(0);
    const length = this.bytes.length - 4;
    this.align(align);
    const begin = this.bytes.length;
    fill();
    const written = this.bytes.length - begin;
    for (let i = 0; i < 4; i++) this.bytes[length + i] = (written >> (8 * i)) & 255;
  }

  #number(value) {
    this.align(4);
    for (let i = 0; i < 4; i++) this.bytes.push((value >>> (8 * i)) & 255);
  }
}

class In {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  align(to) {
    this.at = Math.ceil(this.at / to) * to;
  }

  take(type) {
    if (type === "y") return this.bytes[this.at++];
    if (type === "g") return this.#text(this.bytes[this.at++]);
    this.align(4);
    const number = this.bytes.readUInt32LE(this.at);
    this.at += 4;
    if (type === "u") return number;
    if (type !== "as") return this.#text(number);
    const list = [];
    for (const end = this.at + number; this.at < end;) list.push(this.take("s"));
    return list;
  }

  #text(length) {
    const text = this.bytes.toString("utf8", this.at, this.at + length);
    this.at += length + 1;
    return text;
  }
}

export class Desktop {
  /** What is on the screen: id, title, body, actions. */
  shown = [];
  #serial = 0;
  #came = Buffer.alloc(0);

  static async start() {
    const desktop = new Desktop();
    desktop.bus = spawn("dbus-daemon", ["--session", "--nofork", "--nopidfile", "--print-address=1"], { stdio: ["ignore", "pipe", "ignore"] });
    let said = "";
    desktop.bus.stdout.on("data", (text) => (said += text));
    desktop.address = await waitFor("the bus", () => /(unix:[^\n]+)\n/.exec(said)?.[1]);
    const path = /path=([^,]+)/.exec(desktop.address)?.[1] ?? `\0${/abstract=([^,]+)/.exec(desktop.address)[1]}`;
    desktop.socket = connect(path);
    desktop.socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(process.getuid())).toString("hex")}\r\n`);
    await new Promise((done) => desktop.socket.once("data", done));
    desktop.socket.write("BEGIN\r\n");
    desktop.socket.on("data", (bytes) => desktop.#take(bytes));
    const bus = { path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus", destination: "org.freedesktop.DBus" };
    desktop.#send(CALL, { ...bus, member: "Hello" });
    desktop.#send(CALL, { ...bus, member: "RequestName", signature: "su" }, ["s", SERVICE], ["u", 0]);
    await waitFor("the name", () => desktop.owns);
    return desktop;
  }

  /** A person clicks it: `default`, or one of its actions. */
  click({ id }, action = "default") {
    this.#send(SIGNAL, { path: PATH, interface: SERVICE, member: "ActionInvoked", signature: "us" }, ["u", id], ["s", action]);
  }

  close() {
    this.socket.destroy();
    this.bus.kill();
  }

  #send(kind, fields, ...values) {
    const body = new Out();
    values.forEach(([type, value]) => body.put(type, value));
    const head = new Out();
    [0x6c, kind, 0, 1].forEach((byte) => head.put("y", byte));
    head.put("u", body.bytes.length).put("u", ++this.#serial);
    head.array(8, () => {
      for (const [name, value] of Object.entries(fields)) {
        const [code, type] = FIELDS[name];
        head.align(8);
        head.put("y", code).put("g", type).put(type, value);
      }
    });
    head.align(8);
    this.socket.write(Buffer.from([...head.bytes, ...body.bytes]));
  }

  #take(bytes) {
    this.#came = Buffer.concat([this.#came, bytes]);
    while (this.#came.length >= 16) {
      const [body, fields] = [this.#came.readUInt32LE(4), this.#came.readUInt32LE(12)];
      const begin = Math.ceil((16 + fields) / 8) * 8;
      if (this.#came.length < begin + body) return;
      const [message, head] = [this.#came.subarray(0, begin + body), { kind: this.#came[1], serial: this.#came.readUInt32LE(8) }];
      for (const read = new In(message, 16); read.at < 16 + fields;) {
        read.align(8);
        const name = NAMES[read.take("y")];
        head[name] = read.take(read.take("g"));
      }
      this.#answer(head, new In(message.subarray(begin)));
      this.#came = this.#came.subarray(begin + body);
    }
  }

  #answer({ kind, serial, member, sender, reply }, body) {
    // The second call was for the name.
    if (kind === REPLY && reply === 2) this.owns = true;
    if (kind !== CALL) return;
    const answer = (signature, ...values) => this.#send(REPLY, { reply: serial, destination: sender, ...(signature && { signature }) }, ...values);
    if (member === "GetCapabilities") answer("as", ["as", ["actions", "body", "persistence"]]);
    else if (member === "GetServerInformation") answer("ssss", ["s", "test"], ["s", "huong"], ["s", "1"], ["s", "1.2"]);
    else if (member === "Notify") {
      const [, replaces, , title, text, actions] = ["s", "u", "s", "s", "s", "as"].map((type) => body.take(type));
      const id = replaces || this.shown.length + 1;
      this.shown.push({ id, title, body: text, actions });
      answer("u", ["u", id]);
    } else answer("");
  }
}
