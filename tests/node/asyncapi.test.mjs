// docs/asyncapi.yaml in the eyes of AsyncAPI's own parser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Parser } from "@asyncapi/parser";

test("the AsyncAPI document is valid and names every channel", async () => {
  const source = readFileSync(new URL("../../docs/asyncapi.yaml", import.meta.url), "utf8");
  const { document, diagnostics } = await new Parser().parse(source);
  assert.deepEqual(diagnostics.filter(({ severity }) => severity <= 1).map(({ message, path }) => [message, path.join(".")]), []);
  assert.equal(document.version(), "3.0.0");
  const addresses = document.allChannels().all().map((channel) => channel.address()).sort();
  assert.deepEqual(addresses, ["audit", "card", "config", "confirm", "face", "gap", "grant", "health", "plate",
    "signal/{name}", "status", "trial", "update"]
    .map((name) => `vidik/v1/{camera}/${name}`));
});
