// Reads one event stream as a page does. `types` are the event types that may come, `expected` is how many events are
// due before the body ends: when they are there, or after `patience` ms, the server is told to end it.
({ path, types, expected, patience }) => new Promise((resolve) => {
  const events = [];
  let late = null;
  let opened = false;
  const source = new EventSource(path);
  const end = () => {
    if (late !== null) return;
    late = events.length;
    fetch(`${path}/end`);
  };
  const take = (event) => {
    // A stream may name its events "open" and "error", too: those carry data.
    if (!(event instanceof MessageEvent)) return;
    events.push({ type: event.type, data: event.data, id: event.lastEventId });
    if (events.length === expected) end();
  };
  for (const type of types) source.addEventListener(type, take);
  source.addEventListener("open", (event) => {
    if (event instanceof MessageEvent) return;
    opened = true;
    if (expected === 0) end();
    else setTimeout(end, patience);
  });
  source.addEventListener("error", (event) => {
    if (event instanceof MessageEvent) return;
    source.close();
    resolve({ events, late: late === null ? 0 : events.length - late, refused: !opened });
  });
});
