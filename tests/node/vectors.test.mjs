// The consumer against the published vectors.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";
import { decode, keyId, open, recipient, SealError } from "./vidik.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors/vectors.json", import.meta.url)));
const spki = Buffer.from(vectors.signers.camera.spki, "hex");
const signers = new Map([[keyId(spki), createPublicKey({ key: spki, format: "der", type: "spki" })]]);
const holders = await Promise.all(vectors.recipients.map(({ private: raw }) => recipient(Buffer.from(raw, "hex"))));
const keysOf = (...some) => new Map(some.map(({ kid, privateKey }) => [kid, privateKey]));
const hex = (text) => Buffer.from(text, "hex");

function plain(report) {
  const { kind, ...fields } = report;
  for (const name of ["vector", "model"]) if (fields[name]) fields[name] = Buffer.from(fields[name]).toString("hex");
  return fields;
}

const said = (vector) => Object.fromEntries(
  Object.entries(vector.says).filter(([, value]) => !(Array.isArray(value) && value.length === 0) && value !== "" && value !== null));

test("key ids are those of the vectors", () => {
  assert.deepEqual(holders.map(({ kid }) => kid), vectors.recipients.map(({ kid }) => kid));
});

for (const [i, vector] of vectors.reports.entries()) {
  test(`report ${i}: its content`, () => assert.deepEqual(plain(decode(hex(vector.content))), said(vector)));
  test(`report ${i}: sealed to one`, async () => {
    const sealed = hex(vector["sealed to the first recipient"]);
    assert.deepEqual(plain(await open(sealed, "cam-1", signers, keysOf(holders[0]))), said(vector));
    await assert.rejects(open(sealed, "cam-1", signers, keysOf(holders[1])), /somebody else/);
  });
  test(`report ${i}: sealed to several`, async () => {
    for (const holder of holders) {
      const sealed = hex(vector["sealed to both recipients"]);
      assert.deepEqual(plain(await open(sealed, "cam-1", signers, keysOf(holder))), said(vector));
    }
  });
  test(`report ${i}: changed anywhere, it is refused`, async () => {
    for (const name of ["sealed to the first recipient", "sealed to both recipients"]) {
      const sealed = hex(vector[name]);
      for (let at = 0; at < sealed.length; at += 7) {
        const changed = Buffer.from(sealed);
        changed[at] ^= 0x10;
        await assert.rejects(open(changed, "cam-1", signers, keysOf(...holders)), undefined, `byte ${at}`);
      }
    }
  });
  test(`report ${i}: another's name or signer is refused`, async () => {
    const sealed = hex(vector["sealed to the first recipient"]);
    await assert.rejects(open(sealed, "cam-2", signers, keysOf(holders[0])), SealError);
    await assert.rejects(open(sealed, "cam-1", new Map(), keysOf(holders[0])), /unknown signer/);
  });
}
