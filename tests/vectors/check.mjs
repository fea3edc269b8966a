// Checks vectors.json with nothing but Node's standard library, as somebody who reads docs/*.cddl would:
// signatures of documents, plate digests, and a report opened by its recipient (COSE, HPKE of RFC 9180 by hand).
// node tests/vectors/check.mjs [FILE]; exit code 0 when all of it holds.
import { createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const file = process.argv[2] ?? new URL("vectors.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8"));
const hex = (text) => Buffer.from(text, "hex");
let checked = 0;
const must = (holds, what) => {
  if (!holds) throw new Error(`does not hold: ${what}`);
  checked += 1;
};

// CBOR (RFC 8949): what our formats use
function decode(bytes) {
  let at = 0;
  const item = () => {
    const head = bytes[at++];
    const major = head >> 5;
    let value = head & 31;
    if (major === 7 && value === 27) return (at += 8), bytes.readDoubleBE(at - 8);
    if (major === 7) return { 20: false, 21: true, 22: null }[value];
    if (value >= 24) {
      const size = 1 << (value - 24);
      value = Number(BigInt(`0x${bytes.subarray(at, at + size).toString("hex")}`));
      at += size;
    }
    switch (major) {
      case 0: return value;
      case 1: return -1 - value;
      case 2: return (at += value), bytes.subarray(at - value, at);
      case 3: return (at += value), bytes.toString("utf8", at - value, at);
      case 4: return Array.from({ length: value }, item);
      case 5: return new Map(Array.from({ length: value }, () => [item(), item()]));
      default: return { tag: value, value: item() };
    }
  };
  return item();
}

function head(major, value) {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 256) return Buffer.from([(major << 5) | 24, value]);
  return Buffer.from([(major << 5) | 25, value >> 8, value & 255]);
}
const text = (value) => Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
const blob = (value) => Buffer.concat([head(2, value.length), value]);
const list = (...items) => Buffer.concat([head(4, items.length), ...items]);

// signatures: ES256, r || s (RFC 9053), over the Sig_structure of RFC 9052 section 4.4
const keys = new Map(Object.entries(vectors.signers).map(([name, signer]) => {
  const kid = createHash("sha256").update(hex(signer.spki)).digest("hex").slice(0, 16);
  return [kid, { name, key: createPublicKey({ key: hex(signer.spki), format: "der", type: "spki" }) }];
}));
const holds = (signed, signature, kid) =>
  keys.has(kid) && verify("sha256", signed, { key: keys.get(kid).key, dsaEncoding: "ieee-p1363" }, signature);

function signers(whole, kind) {
  const { tag, value: [body, unprotected, content, signatures] } = decode(whole);
  must(tag === 98 && unprotected.size === 0, "tag and header of a document");
  must(decode(body).get(3) === `application/vidik-${kind}+cbor`, "content type");
  const good = signatures.filter(([own, , signature]) => {
    const signed = list(text("Signature"), blob(body), blob(own), blob(Buffer.alloc(0)), blob(content));
    return holds(signed, signature, decode(own).get(4).toString("hex"));
  });
  return { content, good: good.length, all: signatures.length };
}

for (const { kind, content, signed } of vectors.documents) {
  const found = signers(hex(signed), kind);
  must(found.content.equals(hex(content)), `content of a ${kind}`);
  must(found.good === found.all && found.good > 0, `signatures of a ${kind}`);
}
const broken = vectors.refused.find(({ why }) => why === "a broken signature");
must(signers(hex(broken.signed), "grant").good === 0, "the broken signature is noticed");

// plate digests
for (const [name, digest] of Object.entries(vectors.derived)) {
  if (!name.startsWith("digest of ")) continue;
  const made = createHmac("sha256", hex(vectors.derived.template_key)).update(name.slice(10)).digest("hex");
  must(made.slice(0, 32) === digest, name);
}

// HPKE in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM (RFC 9180)
const extract = (salt, ikm) => createHmac("sha256", salt).update(ikm).digest();
const labelled = (suite, label, ikm, salt = Buffer.alloc(0)) =>
  extract(salt, Buffer.concat([Buffer.from("HPKE-v1"), suite, Buffer.from(label), ikm]));
function expand(suite, secret, label, info, length) {
  const whole = Buffer.concat([Buffer.from([0, length]), Buffer.from("HPKE-v1"), suite, Buffer.from(label), info]);
  return createHmac("sha256", secret).update(whole).update(Buffer.from([1])).digest().subarray(0, length);
}
function open(scalar, encapsulated, ciphertext, aad) {
  const raw = (prefix, key) => Buffer.concat([hex(prefix), key]);
  const secret = createPrivateKey({ key: raw("302e020100300506032b656e04220420", scalar), format: "der", type: "pkcs8" });
  const mine = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(12);
  const theirs = createPublicKey({ key: raw("302a300506032b656e032100", encapsulated), format: "der", type: "spki" });
  const kem = Buffer.from("KEM\0\x20", "latin1");
  const prk = labelled(kem, "eae_prk", diffieHellman({ privateKey: secret, publicKey: theirs }));
  const shared = expand(kem, prk, "shared_secret", Buffer.concat([encapsulated, mine]), 32);
  const suite = Buffer.from("HPKE\0\x20\0\x01\0\x01", "latin1");
  const nothing = Buffer.alloc(0);
  const context = Buffer.concat([
    Buffer.from([0]), labelled(suite, "psk_id_hash", nothing), labelled(suite, "info_hash", nothing),
  ]);
  const derived = labelled(suite, "secret", nothing, shared);
  const cipher = createDecipheriv(
    "aes-128-gcm", expand(suite, derived, "key", context, 16), expand(suite, derived, "base_nonce", context, 12),
  );
  cipher.setAAD(aad);
  cipher.setAuthTag(ciphertext.subarray(-16));
  return Buffer.concat([cipher.update(ciphertext.subarray(0, -16)), cipher.final()]);
}

function openedByTheFirst(report) {
  const { tag, value: [own, , inner, signature] } = decode(hex(report["sealed to the first recipient"]));
  must(tag === 18, "a report is COSE_Sign1");
  const signed = list(text("Signature1"), blob(own), blob(Buffer.alloc(0)), blob(inner));
  must(holds(signed, signature, decode(own).get(4).toString("hex")), "the camera's signature");
  const { value: [header, unprotected, ciphertext] } = decode(inner);
  must(decode(header).get(4).toString("hex") === vectors.recipients[0].kid, "the recipient's key id");
  const aad = list(text("Encrypt0"), blob(header), blob(Buffer.alloc(0)));
  const opened = open(hex(vectors.recipients[0].private), unprotected.get(-4), ciphertext, aad);
  must(opened.equals(hex(report.content)), "the content of a report");
  must(decode(opened).get(2) === report.says.camera, "the camera in a report");
  return decode(opened);
}
for (const report of vectors.reports) must([1, 2].includes(openedByTheFirst(report).get(1)), "the kind of a report");

// a test report, and its confirmation
const trial = openedByTheFirst(vectors.trial);
must(trial.get(1) === 3, "the kind of a test report");
const confirmation = decode(hex(vectors.trial.confirmation));
must(confirmation.get(1).equals(trial.get(30)) && confirmation.get(2).toString("hex") === vectors.recipients[0].kid, "what is confirmed");
const proof = createHmac("sha256", trial.get(31)).update("vidik trial confirmed\0").update(`${trial.get(2)}\0`)
  .update(confirmation.get(1)).update(confirmation.get(2)).digest();
must(confirmation.get(3).equals(proof), "the proof in a confirmation");
console.log(`${checked} statements hold`);
