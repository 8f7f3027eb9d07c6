// The scenario with toxiproxy-node-client: every toxic is added, seen, listed, updated and removed.
// Usage: node scenario.js PORT
"use strict";

const assert = require("node:assert");
const net = require("node:net");
const { Toxiproxy } = require("toxiproxy-node-client");

const TOXICS = {
  latency: { latency: 100, jitter: 0 },
  bandwidth: { rate: 1000 },
  slow_close: { delay: 10 },
  timeout: { timeout: 0 },
  reset_peer: { timeout: 10 },
  slicer: { average_size: 1000, size_variation: 1000, delay: 10 },
  limit_data: { bytes: 3 },
};

function echoServer() {
  const server = net.createServer((client) => {
    client.on("error", () => {});
    client.pipe(client);
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

// What comes back for "hello" on a new connection, until all is there, it ends, or 200 ms of silence.
function roundTrip(proxy) {
  const at = proxy.listen.lastIndexOf(":");
  const begun = process.hrtime.bigint();
  return new Promise((done) => {
    let got = "";
    const finish = (end) => {
      client.destroy();
      done({ got, end, ms: Number(process.hrtime.bigint() - begun) / 1e6 });
    };
    const client = net.connect(Number(proxy.listen.slice(at + 1)), "127.0.0.1", () => client.write("hello"));
    client.setTimeout(1000, () => finish("silence"));
    client.on("data", (data) => {
      got += data;
      if (got.length >= 5) finish("all");
    });
    client.on("end", () => finish("end"));
    client.on("error", (error) => finish(error.code));
  });
}

const EXPECTED = {
  timeout: { got: "", end: "silence" },
  reset_peer: { got: "", end: "ECONNRESET" },
  limit_data: { got: "hel", end: "end" },
};

async function main() {
  const server = await echoServer();
  const upstream = `127.0.0.1:${server.address().port}`;
  const toxiproxy = new Toxiproxy(`http://127.0.0.1:${process.argv[2]}`);
  const proxy = await toxiproxy.createProxy({ name: "echo", listen: "localhost:0", upstream });
  assert.equal((await roundTrip(proxy)).got, "hello");
  for (const [type, attributes] of Object.entries(TOXICS)) {
    const toxic = await proxy.addToxic({ type, attributes });
    assert.equal(toxic.name, `${type}_downstream`);
    const seen = await roundTrip(proxy);
    const { got, end } = EXPECTED[type] ?? { got: "hello", end: "all" };
    assert.deepEqual([seen.got, seen.end], [got, end], type);
    assert.ok(type !== "latency" || seen.ms >= 100, `${seen.ms} ms`);
    const listed = await proxy.getToxic(toxic.name);
    assert.deepEqual([listed.type, listed.attributes], [type, attributes]);
    const updated = await toxic.update({ toxicity: 0 });
    assert.equal(updated.toxicity, 0);
    assert.equal((await roundTrip(proxy)).got, "hello", `${type} at toxicity 0`);
    await toxic.remove();
  }
  const again = await toxiproxy.populate([{ name: "echo", listen: proxy.listen, upstream }]);
  assert.deepEqual(Object.keys(again), ["echo"]);
  await proxy.update({ enabled: false });
  assert.equal((await roundTrip(proxy)).end, "ECONNREFUSED");
  await toxiproxy.reset();
  assert.equal((await roundTrip(proxy)).got, "hello");
  await assert.rejects(toxiproxy.createProxy({ name: "echo", listen: "localhost:0", upstream }));
  await proxy.remove();
  assert.deepEqual(await toxiproxy.getAll(), {});
  server.close();
  console.log("toxiproxy-node-client: ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
