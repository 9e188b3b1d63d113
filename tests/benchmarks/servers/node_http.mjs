// Event streams by Node's http, one `write` for each event, with the routes of sse_starlette_app.py: node node_http.mjs PORT
import { createServer } from 'node:http';

const letters = 'abcdefghijklmnopqrstuvwxyz';
const dialog = '0123456789abcdef0123456789abcdef';
const subscribers = new Set();
const others = () => new Promise((resolve) => setImmediate(resolve));
const after = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const room = (response) => new Promise((resolve) => response.once('drain', resolve));

function frame(number, size) {
  const content = (String(number).padStart(8, '0') + ' ' + letters.repeat(Math.floor(size / 26) + 1)).slice(0, size);
  return `data: ${JSON.stringify({ at: Date.now(), type: 'chat', content, dialog_id: dialog })}\n\n`;
}

async function answer(response, times, size, wait) {
  await after(wait);
  for (let number = 0; number < times; number++) {
    if (!response.write(frame(number, size))) await room(response);
    if (number % 64 === 63) await others();
  }
  response.end();
}

async function publish(response, times, size) {
  for (let number = 0; number < times; number++) {
    const shared = frame(number, size);
    for (const each of subscribers) if (!each.write(shared)) await room(each);
    if (number % 64 === 63) await others();
  }
  response.writeHead(204).end();
}

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const [times, size, wait] = ['times', 'size', 'wait'].map((name) => Number(searchParams.get(name)));
  if (pathname === '/publish') return publish(response, times, size);
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  if (pathname === '/answer') return answer(response, times, size, wait);
  response.write('data: {"type":"server.connected"}\n\n');
  subscribers.add(response);
  response.on('close', () => subscribers.delete(response));
}).listen(Number(process.argv[2]), '127.0.0.1', 2048);
