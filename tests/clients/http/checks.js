// What the clients written for Node share.
"use strict";

const assert = require("node:assert");
const crypto = require("node:crypto");

let good = 0;

// Counts a check; the first that fails ends the client.
function same(what, got, wanted) {
  assert.deepEqual(got, wanted, what);
  good += 1;
}

function atLeast(what, got, least) {
  assert.ok(got >= least, `${what}: got ${got}, wanted at least ${least}`);
  good += 1;
}

const sha256 = (data) => crypto.createHash("sha256").update(data).digest("hex");

function run(name, main) {
  // Node also leaves, and says that all is well, when nothing is left to wait for.
  process.exitCode = 1;
  const last = () => console.error(`FAIL  ${name}: nothing left to wait for after ${good} checks`);
  process.on("exit", last);
  main()
    .then(() => {
      console.log(`${name}: ${good} good`);
      process.off("exit", last);
      process.exit(0);
    })
    .catch((error) => {
      console.error("FAIL ", error);
      process.off("exit", last);
      process.exit(1);
    });
}

module.exports = { same, atLeast, sha256, run };
