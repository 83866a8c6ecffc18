// The official TypeScript clients as programs use them. Prints one JSON object: client -> step -> what came of it.
// Usage: node clients.mjs URL
import * as modern from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema, LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

const url = new URL(process.argv[2]);
const info = { name: 'probe', version: '1.0.0' };
const capabilities = { elicitation: {}, sampling: {} };
const answer = async () => ({ action: 'accept', content: { username: 'ada', email: 'ada@example.com', name: 'ada' } });

// One step: its result, or the error as text.
async function step(found, name, doing) {
  try {
    found[name] = await doing();
  } catch (error) {
    found[name] = { failed: `${error.name}: ${error.message}` };
  }
}

async function use(client, { call, asks }) {
  const found = {};
  await step(found, 'tools/list', () => client.listTools());
  await step(found, 'text', () => call({ name: 'test_simple_text', arguments: {} }));
  await step(found, 'mixed', () => call({ name: 'test_multiple_content_types', arguments: {} }));
  await step(found, 'error', () => call({ name: 'test_error_handling', arguments: {} }));
  await step(found, 'header', () => call({ name: 'test_x_mcp_header', arguments: { region: 'Ä 世界' } }));
  await step(found, 'unknown', () => call({ name: 'no_such_tool', arguments: {} }));
  await step(found, 'progress', async () => {
    const seen = [];
    const options = { onprogress: (progress) => seen.push(progress.progress) };
    return { result: await call({ name: 'test_tool_with_progress', arguments: {} }, options), seen };
  });
  await step(found, 'elicitation', () => call(asks));
  await step(found, 'resources', () => client.listResources());
  await step(found, 'read', () => client.readResource({ uri: 'test://static-binary' }));
  await step(found, 'template', () => client.readResource({ uri: 'test://template/7/data' }));
  await step(found, 'prompt', () =>
    client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a', arg2: 'b' } }));
  await step(found, 'complete', () =>
    client.complete({
      ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
      argument: { name: 'arg1', value: 'par' },
    }));
  await step(found, 'cancel', () => cancel(call));
  await step(found, 'still waiting', () => stillWaiting(call));
  await step(found, 'close', () => client.close());
  return found;
}

// Starts a long call and gives it up as soon as it is under way.
async function cancel(call) {
  const abort = new AbortController();
  const options = { signal: abort.signal, onprogress: () => abort.abort('enough') };
  return call({ name: 'wait', arguments: { seconds: 20, kind: 'progress' } }, options);
}

// How many long calls the server still works on, once that has come to rest.
async function stillWaiting(call) {
  let left = NaN;
  for (let round = 0; round < 60 && left !== 0; round++) {
    left = (await call({ name: 'waiting', arguments: {} })).structuredContent.result;
    if (left) await new Promise((done) => setTimeout(done, 50));
  }
  return left;
}

async function old() {
  const client = new OldClient(info, { capabilities });
  const logs = [];
  client.setRequestHandler(ElicitRequestSchema, answer);
  client.setNotificationHandler(LoggingMessageNotificationSchema, (message) => logs.push(message.params.data));
  const transport = new OldTransport(url);
  await client.connect(transport);
  const call = (params, options) => client.callTool(params, undefined, options);
  const asks = { name: 'test_elicitation', arguments: { message: 'who?' } };
  const found = { server: client.getServerVersion(), session: Boolean(transport.sessionId) };
  await step(found, 'logs', async () => {
    await call({ name: 'test_tool_with_logging', arguments: {} });
    return [...logs];
  });
  await step(found, 'resumed', () => call({ name: 'test_reconnection', arguments: {} }));
  Object.assign(found, await use(client, { call, asks }));
  return found;
}

async function recent(mode) {
  const client = new modern.Client(info, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', answer);
  await client.connect(new modern.StreamableHTTPClientTransport(url));
  const call = (params, options) => client.callTool(params, options);
  const asks =
    mode === 'legacy'
      ? { name: 'test_elicitation', arguments: { message: 'who?' } }
      : { name: 'test_input_required_result_elicitation', arguments: {} };
  const found = { server: client.getServerVersion() };
  return Object.assign(found, await use(client, { call, asks }));
}

const results = {};
await step(results, 'sdk 1.32', old);
await step(results, 'client 2.4, handshake', () => recent('legacy'));
await step(results, 'client 2.4, stateless', () => recent('auto'));
console.log(JSON.stringify(results));
process.exit(0);
