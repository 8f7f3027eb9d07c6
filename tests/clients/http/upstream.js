// The upstream that answers in every way HTTP/1.1 knows. It prints its port and runs until ended.
// Every body has its SHA-256 beside it: in X-Sha256, as a trailer, in what is told of an upload.
"use strict";

const crypto = require("node:crypto");
const http = require("node:http");
const { WebSocketServer } = require("ws");

const PIECE_BYTES = 7919; // a prime: pieces and the reads of a proxy never fall together
const BYTES_MAX = 64 << 20;

const sha256 = (data) => crypto.createHash("sha256").update(data).digest("hex");

// The same bytes for the same length, and no two places alike.
function bytes(count) {
  const cipher = crypto.createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), Buffer.alloc(16, 7));
  return cipher.update(Buffer.alloc(Math.min(count, BYTES_MAX)));
}

function writePieces(response, data, done) {
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    response.write(data.subarray(at, at + PIECE_BYTES));
  }
  done();
}

// What came, told back as JSON.
function echo(request, response) {
  const hash = crypto.createHash("sha256");
  let count = 0;
  request.on("data", (data) => {
    hash.update(data);
    count += data.length;
  });
  request.on("end", () => {
    const { method, url, headers, rawTrailers, httpVersion } = request;
    const seen = { sha256: hash.digest("hex"), count };
    const body = JSON.stringify({ method, url, httpVersion, headers, rawTrailers, ...seen });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": body.length });
    response.end(body);
  });
}

// `count` events, `ms` apart, the first at once.
function events(response, count, ms) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  let sent = 0;
  const timer = setInterval(() => send(), ms);
  function send() {
    sent += 1;
    response.write(`id: ${sent}\ndata: event ${sent}\n\n`);
    if (sent === count) {
      clearInterval(timer);
      response.end();
    }
  }
  response.on("close", () => clearInterval(timer));
  send();
}

const PATHS = {
  echo,
  sized(request, response, count) {
    const data = bytes(count);
    response.writeHead(200, { "Content-Length": data.length, "X-Sha256": sha256(data) });
    response.end(request.method === "HEAD" ? undefined : data);
  },
  chunked(request, response, count) {
    const data = bytes(count);
    response.writeHead(200, { "X-Sha256": sha256(data) });
    writePieces(response, data, () => response.end());
  },
  trailers(request, response, count) {
    const data = bytes(count);
    response.writeHead(200, { Trailer: "X-Sha256-After" });
    writePieces(response, data, () => {
      response.addTrailers({ "X-Sha256-After": sha256(data) });
      response.end();
    });
  },
  // Neither a length nor chunks: the end of the connection is the end of the body.
  closed(request, response, count) {
    const data = bytes(count);
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, { "X-Sha256": sha256(data), Connection: "close" });
    response.end(data);
  },
  events(request, response, count, ms) {
    events(response, count, ms);
  },
  status(request, response, status) {
    response.writeHead(status, { "X-Status": String(status) });
    response.end();
  },
  hints(request, response) {
    response.writeEarlyHints({ link: "</style.css>; rel=preload; as=style" }, () => {
      response.writeHead(200, { "Content-Length": 2 });
      response.end("ok");
    });
  },
  // Fields that a proxy might join, sort or drop.
  fields(request, response) {
    const cookies = ["a=1; Path=/", "b=2; Path=/; Secure"];
    const long = "x".repeat(12_000);
    response.writeHead(200, { "Set-Cookie": cookies, "X-MiXeD": "Kept", "X-Long": long });
    response.end();
  },
  // An answer before the request's body is there; the rest of which is read and forgotten.
  early(request, response) {
    response.writeHead(413, { "Content-Length": 9 });
    response.end("too large");
    request.resume();
  },
};

function answer(request, response) {
  const [, name, first, second] = request.url.replace(/\?.*/, "").split("/");
  const path = Object.hasOwn(PATHS, name) ? PATHS[name] : undefined;
  if (path === undefined) {
    response.writeHead(404, { "Content-Length": 0 });
    response.end();
    return;
  }
  path(request, response, Number(first), Number(second));
}

const server = http.createServer({ keepAliveTimeout: 60_000 }, answer);
server.on("checkContinue", (request, response) => {
  if (request.headers["x-refuse"] === undefined) {
    response.writeContinue();
    answer(request, response);
  } else {
    response.writeHead(417, { "Content-Length": 0 });
    response.end();
  }
});

const sockets = new WebSocketServer({ server, path: "/socket", maxPayload: BYTES_MAX });
sockets.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    if (String(data.subarray(0, 6)) === "leave!") socket.close(4001, "as you wish");
    else socket.send(data, { binary: isBinary });
  });
  socket.on("error", () => {});
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
