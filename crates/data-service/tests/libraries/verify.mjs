// Verifies requests with libraries that are not ours. stdin: [{key, headers, body}]; stdout: [true or false].
// v1 is for the library of Standard Webhooks. It knows no v1a: that is for @noble/ed25519 and for OpenSSL, which must agree.
import { createPublicKey, verify as opensslVerify } from "node:crypto";
import { text } from "node:stream/consumers";
import * as noble from "@noble/ed25519";
import { Webhook } from "standardwebhooks";

function v1({ key, headers, body }) {
  try {
    new Webhook(key).verify(body, headers);
    return true;
  } catch (error) {
    if (error.constructor.name === "WebhookVerificationError") return false;
    throw error;
  }
}

async function v1a({ key, headers, body }) {
  const publicKey = Buffer.from(key.slice("whpk_".length), "base64");
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), publicKey]);
  const opensslKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  let accepted = false;
  for (const entry of headers["webhook-signature"].split(" ")) {
    const [version, encoded] = entry.split(",");
    if (version !== "v1a") continue;
    const signature = Buffer.from(encoded, "base64");
    const byNoble = await noble.verifyAsync(signature, content, publicKey);
    const byOpenssl = opensslVerify(null, content, opensslKey, signature);
    if (byNoble !== byOpenssl) throw new Error(`noble says ${byNoble} and OpenSSL says ${byOpenssl}`);
    accepted ||= byNoble;
  }
  return accepted;
}

const results = [];
for (const request of JSON.parse(await text(process.stdin))) {
  results.push(await (request.key.startsWith("whpk_") ? v1a(request) : v1(request)));
}
console.log(JSON.stringify(results));
