// node consume.mjs HOST PORT CA CERTIFICATE KEY RECIPIENT-KEY(raw, 32 bytes) [COUNT]
// Prints each genuine report that it can open as a line of JSON, once; ends after COUNT.

import { readFileSync } from "node:fs";
import mqtt from "mqtt";
import { open, recipient, signer, SealError } from "./vidik.mjs";

const [host, port, ca, certificate, key, recipientKey, count = "0"] = process.argv.slice(2);
const { kid, privateKey } = await recipient(readFileSync(recipientKey));
const keys = new Map([[kid, privateKey]]);
const signers = new Map(); // camera -> key id -> public key
const waiting = []; // reports whose camera has not introduced itself yet
const seen = new Set();

const client = mqtt.connect({
  protocol: "mqtts", host, port: Number(port), protocolVersion: 5, ca: readFileSync(ca), cert: readFileSync(certificate),
  key: readFileSync(key), clientId: `node-${process.pid}`,
});
client.on("connect", () => client.subscribe(["vidik/v1/+/status", "vidik/v1/+/plate", "vidik/v1/+/face"], { qos: 1 }));
client.on("error", (error) => { console.error(error.message); process.exit(1); });
let work = Promise.resolve(); // one after the other, in order
client.on("message", (topic, payload) => { work = work.then(() => take(topic, payload)); });

async function take(topic, payload) {
  const [, , camera, channel] = topic.split("/");
  if (channel === "status") {
    try {
      const found = signer(Buffer.from(JSON.parse(payload).signing_certificate, "base64"), readFileSync(ca));
      if (found.camera !== camera) throw new SealError(`the certificate of ${found.camera}`);
      if (!signers.has(camera)) signers.set(camera, new Map());
      signers.get(camera).set(found.kid, found.key);
    } catch (error) {
      return console.error(`status of ${camera} rejected: ${error.message}`);
    }
    for (const [name, sealed] of waiting.splice(0)) await report(name, sealed);
  } else {
    await report(camera, payload);
  }
}

async function report(camera, sealed) {
  if (!signers.has(camera)) return waiting.push([camera, sealed]);
  try {
    const found = await open(sealed, camera, signers.get(camera), keys);
    const id = `${found.camera}/${found.boot}/${found.seq}`;
    if (seen.has(id)) return;
    seen.add(id);
    console.log(JSON.stringify(found));
    if (seen.size === Number(count)) client.end(false, {}, () => process.exit(0));
  } catch (error) {
    console.error(`report of ${camera} rejected: ${error.message}`);
  }
}
