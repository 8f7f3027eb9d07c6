// What undici sees of each fault.
"use strict";

const { Client, request } = require("undici");
const { same, atLeast, sha256, run } = require("./checks.js");

const url = (route, path) => process.env[route.toUpperCase()] + path;

async function ask(route, path, options) {
  const begun = performance.now();
  const got = await request(url(route, path), options);
  const body = Buffer.from(await got.body.arrayBuffer());
  return { status: got.statusCode, headers: got.headers, body, ms: performance.now() - begun };
}

// The code of the error that a route leads to.
async function fails(route, path, codes) {
  let seen;
  try {
    const got = await ask(route, path);
    seen = `status ${got.status}, ${got.body.length} bytes`;
  } catch (error) {
    seen = error.code ?? error.message;
  }
  same(`${route} ${path}: ${seen}`, codes.some((code) => seen.startsWith(code)), true);
}

async function statuses() {
  const error = await ask("error", "/sized/10");
  const told = [error.status, error.headers["x-chaos-faults"]];
  same("http_error", told, [503, "http_error;status=503"]);
  const upload = { method: "POST", body: Buffer.alloc(2_000_000) };
  same("after an upload", (await ask("error", "/echo", upload)).status, 503);
  const teapot = await ask("teapot", "/sized/10");
  same("teapot", [teapot.status, String(teapot.body)], [418, "short and stout"]);
  same("replaced", (await ask("replaced", "/sized/100000")).status, 500);
  const held = await ask("held", "/sized/10");
  same("http_timeout", held.status, 504);
  atLeast("http_timeout", held.ms, 119);
}

async function later() {
  for (const route of ["delayed", "late"]) {
    const got = await ask(route, "/trailers/100000");
    same(route, [got.status, got.body.length], [200, 100_000]);
    atLeast(route, got.ms, 149);
  }
}

async function broken() {
  const over = ["UND_ERR_SOCKET", "ECONNRESET"];
  await fails("reset", "/sized/10", ["ECONNRESET"]);
  for (const route of ["closed", "empty", "lost"]) await fails(route, "/sized/10", over);
  for (const route of ["half", "cut"]) {
    for (const way of ["sized", "chunked"]) await fails(route, `/${way}/100000`, over);
  }
  await fails("chunk", "/sized/1000", ["HPE_"]);
  await fails("garbage", "/sized/1000", ["HPE_"]);
}

// Answers come in order: those of our own, and those of the upstream between them. Occurrences are
// counted by method and path, whatever the query.
async function pipelined() {
  const client = new Client(process.env.SECOND, { pipelining: 10 });
  const one = async (n) => {
    const got = await client.request({ path: `/echo?${n}`, method: "GET" });
    const told = await got.body.json();
    return got.statusCode === 200 ? told.url : got.statusCode;
  };
  const got = await Promise.all(Array.from({ length: 20 }, (_, n) => one(n)));
  const wanted = got.map((_, n) => (n % 2 === 1 ? 503 : `/echo?${n}`));
  same("pipelined, every second", got, wanted);
  await client.close();
}

async function changed() {
  const got = await ask("flipped", "/sized/100000");
  const intact = sha256(got.body) === got.headers["x-sha256"];
  same("bit_flip", [got.body.length, intact], [100_000, false]);
  const codes = [];
  for (let n = 0; n < 4; n += 1) codes.push((await ask("limited", "/sized/10/undici")).status);
  same("rate_limit", codes, [200, 200, 200, 429]);
}

run("undici", async () => {
  await statuses();
  await later();
  await broken();
  await pipelined();
  await changed();
});
