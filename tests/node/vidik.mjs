// Checks, opens and decodes reports: all that docs/report.cddl says, in one file. Node.js 20, cbor-x, @hpke/core.
// Covers COSE_Encrypt0 with HPKE-3 (one recipient) and COSE_Encrypt with HPKE-3-KE (several), not hybrid keys.

import { createDecipheriv, createHash, createPublicKey, verify as verifySignature, X509Certificate } from "node:crypto";
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { Decoder, Encoder, Tag } from "cbor-x";

const SIGN1 = 18, ENCRYPT0 = 16, ENCRYPT = 96;
const ALG = 1, KID = 4, IV = 5, EK = -4;
const ES256 = -7, A128GCM = 1, HPKE_3 = 41, HPKE_3_KE = 49;
const LARGEST = 2048;
const REPORT_SIGNING = "1.3.6.1.5.5.7.3.36"; // id-kp-documentSigning, RFC 9336
const NAMES = {
  2: "camera", 3: "boot", 4: "seq", 5: "time", 6: "grant", 7: "track", 8: "box", 9: "trigger",
  10: "text", 11: "confidence", 12: "country", 13: "alternates",
  20: "vector", 21: "scale", 22: "quality", 23: "model", 24: "entry", 25: "similarity",
};
const REQUIRED = {
  1: ["camera", "boot", "seq", "time", "grant", "track", "box", "text", "confidence"],
  2: ["camera", "boot", "seq", "time", "grant", "track", "box", "vector", "scale", "quality", "model"],
};

// maps stay maps, since keys are numbers; tags stay tags
const decoder = new Decoder({ mapsAsObjects: false, useRecords: false, int64AsType: "number" });
const encoder = new Encoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false, variableMapSize: true });
const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes128Gcm() });

export class SealError extends Error {}

/** The 8 bytes (hex) that name a key: the start of the SHA-256 of its DER SubjectPublicKeyInfo. */
export function keyId(spki) {
  return createHash("sha256").update(spki).digest().subarray(0, 8).toString("hex");
}

/** A recipient's key pair from the 32 raw bytes of its private key. */
export async function recipient(raw) {
  const privateKey = await suite.kem.importKey("raw", new Uint8Array(raw).buffer, false);
  const spkiHead = Buffer.from("302a300506032b656e032100", "hex"); // X25519, RFC 8410
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), raw]);
  const jwk = createPublicKey({ key: pkcs8, format: "der", type: "pkcs8" }).export({ format: "jwk" });
  return { kid: keyId(Buffer.concat([spkiHead, Buffer.from(jwk.x, "base64url")])), privateKey };
}

/** The camera and the public key of a signing certificate (DER), if the deployment's CA (PEM) vouches for both. */
export function signer(der, caPem, now = new Date()) {
  const certificate = new X509Certificate(der), ca = new X509Certificate(caPem);
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) throw new SealError("not of this deployment");
  if (certificate.ca || certificate.keyUsage?.join() !== REPORT_SIGNING) throw new SealError("not for signing reports");
  if (now < new Date(certificate.validFrom) || now > new Date(certificate.validTo)) throw new SealError("not valid now");
  const camera = /^CN=(.*)$/m.exec(certificate.subject)?.[1];
  return { camera, kid: keyId(certificate.publicKey.export({ format: "der", type: "spki" })), key: certificate.publicKey };
}

/**
 * The report in `sealed`, which came under the name of `camera`. `signers`: public keys (KeyObject) of that camera by
 * key id; `keys`: recipients' private keys by key id. Throws SealError.
 */
export async function open(sealed, camera, signers, keys) {
  if (sealed.length > LARGEST) throw new SealError("too long");
  const [signedHeader, signedOpen, inner, signature] = parts(sealed, SIGN1, 4);
  const head = header(signedHeader);
  const key = signers.get(hex(head.get(KID)));
  if (!key) throw new SealError("unknown signer");
  const signed = encoder.encode(["Signature1", Buffer.from(signedHeader), Buffer.alloc(0), Buffer.from(inner)]);
  if (head.get(ALG) !== ES256 || signedOpen.size ||
      !verifySignature("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature))) {
    throw new SealError("the signature does not hold");
  }
  const report = decode(await decrypt(inner, keys));
  if (report.camera !== camera) throw new SealError("it was re-labelled");
  return report;
}

/** The report in its decrypted bytes. Throws SealError. */
export function decode(content) {
  const body = decoder.decode(content);
  const kind = body instanceof Map ? body.get(1) : undefined;
  if (!REQUIRED[kind] || body.get(0) !== 1) throw new SealError("another version or kind of report");
  const report = { kind: kind === 1 ? "plate" : "face" };
  for (const [number, value] of body) {
    if (number > 1 && !NAMES[number]) throw new SealError("an unknown field");
    if (number > 1) report[NAMES[number]] = typeof value === "bigint" ? Number(value) : value;
  }
  if (REQUIRED[kind].some((name) => report[name] === undefined)) throw new SealError("a missing field");
  for (const name of ["time", "confidence", "similarity"]) if (name in report) report[name] /= 1000;
  if (report.trigger) {
    const [rule, measure, tenths, at] = report.trigger.map((item) => (typeof item === "bigint" ? Number(item) : item));
    report.trigger = { rule, measure, value: tenths / 10, time: Math.round(report.time * 1000 + at) / 1000 };
  }
  report.alternates = report.alternates?.map(([text, share]) => [text, share / 1000]);
  if (!report.alternates) delete report.alternates;
  return report;
}

async function decrypt(inner, keys) {
  if (inner[0] === (0xc0 | ENCRYPT0)) {
    const [protectedHeader, unprotected, ciphertext] = parts(inner, ENCRYPT0, 3);
    const head = header(protectedHeader), mine = keys.get(hex(head.get(KID)));
    if (!mine) throw new SealError("for somebody else");
    if (head.get(ALG) !== HPKE_3) throw new SealError("another algorithm");
    return hpke(mine, unprotected.get(EK), ciphertext, new Uint8Array(), structure("Encrypt0", protectedHeader));
  }
  const [protectedHeader, unprotected, ciphertext, recipients] = parts(inner, ENCRYPT, 4);
  for (const [own, openPart, wrapped] of recipients) {
    const head = header(own), mine = keys.get(hex(head.get(KID)));
    if (!mine) continue;
    if (head.get(ALG) !== HPKE_3_KE || header(protectedHeader).get(ALG) !== A128GCM) throw new SealError("another algorithm");
    const info = encoder.encode(["HPKE Recipient", A128GCM, Buffer.from(own), Buffer.alloc(0)]);
    const contentKey = await hpke(mine, openPart.get(EK), wrapped, info, new Uint8Array());
    const cipher = createDecipheriv("aes-128-gcm", contentKey, unprotected.get(IV));
    cipher.setAAD(structure("Encrypt", protectedHeader));
    cipher.setAuthTag(ciphertext.subarray(-16));
    return Buffer.concat([cipher.update(ciphertext.subarray(0, -16)), cipher.final()]);
  }
  throw new SealError("for somebody else");
}

async function hpke(recipientKey, enc, ciphertext, info, aad) {
  const context = await suite.createRecipientContext({ recipientKey, enc: bytes(enc), info: bytes(info) });
  return Buffer.from(await context.open(bytes(ciphertext), bytes(aad)));
}

const structure = (name, protectedHeader) => encoder.encode([name, Buffer.from(protectedHeader), Buffer.alloc(0)]);
const bytes = (value) => Uint8Array.from(value).buffer;
const hex = (value) => Buffer.from(value ?? []).toString("hex");
const header = (raw) => decoder.decode(raw);

function parts(message, tag, count) {
  const found = decoder.decode(message);
  if (!(found instanceof Tag) || found.tag !== tag || found.value?.length !== count) throw new SealError("not a sealed report");
  return found.value;
}
