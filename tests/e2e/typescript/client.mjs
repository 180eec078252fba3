// Runs commands of Temporal's TypeScript client without a codec, as Alga uses it: node client.mjs ADDRESS. Each line of
// its input is a command and its argument as a JSON array, and each line of its output the result as JSON.
import { createInterface } from 'node:readline';

import { Client, Connection } from '@temporalio/client';

const CREATION = 'tenantCreationWorkflow';

const commands = {
  async create({ taskQueue, workflowId, request }) {
    const handle = await client.workflow.start(CREATION, { args: [request], taskQueue, workflowId });
    const result = await handle.result();
    return { result, state: await handle.query('getState') };
  },

  checkHealth: ({ taskQueue, workflowId }) =>
    client.workflow.execute('healthCheckWorkflow', { args: [], taskQueue, workflowId }),

  async startAndSignal({ taskQueue, workflowId, request, signals }) {
    const handle = await client.workflow.start(CREATION, { args: [request], taskQueue, workflowId });
    for (const [name, argument] of signals) await handle.signal(name, argument);
    return (await handle.describe()).status.name;
  },

  async startDeletion({ taskQueue, workflowId, input }) {
    const limits = { workflowExecutionTimeout: '100 days', workflowRunTimeout: '100 days', workflowTaskTimeout: '1 minute' };
    await client.workflow.start('tenantDeletionWorkflow', { args: [input], taskQueue, workflowId, ...limits });
  },

  async startUpgrade({ taskQueue, workflowId, input }) {
    await client.workflow.start('tenantProductUpgradeWorkflow', { args: [input], taskQueue, workflowId });
  },

  async upgradeStatus({ workflowId }) {
    const handle = client.workflow.getHandle(workflowId);
    const status = (await handle.describe()).status.name;
    return status === 'RUNNING' ? { status, ...(await handle.query('productUpgradeStatus')) } : { status };
  },

  // As Alga's server does for its administrators: it waits for two minutes, then shows the export as in progress.
  async export({ taskQueue, workflowId, input }) {
    const limits = { workflowExecutionTimeout: '1 hour', workflowRunTimeout: '45 minutes', workflowTaskTimeout: '1 minute' };
    const handle = await client.workflow.start('tenantExportWorkflow', { args: [input], taskQueue, workflowId, ...limits });
    const late = new Promise((resolve) => setTimeout(resolve, 120_000, { status: 'in_progress' }).unref());
    const result = await Promise.race([handle.result(), late]);
    return { result, state: await handle.query('getExportState'), shared: await handle.query('getState') };
  },

  signal: ({ workflowId, name, argument }) => client.workflow.getHandle(workflowId).signal(name, argument),

  result: ({ workflowId }) => client.workflow.getHandle(workflowId).result(),

  state: ({ workflowId }) => client.workflow.getHandle(workflowId).query('getState'),

  list: async () => {
    const workflows = await all(client.workflow.list());
    return Object.fromEntries(workflows.map(({ workflowId, status, memo }) => [workflowId, { status: status.name, memo }]));
  },

  describe: async ({ workflowIds }) =>
    Promise.all(
      workflowIds.map(async (workflowId) => {
        const handle = client.workflow.getHandle(workflowId);
        const { status, memo } = await handle.describe();
        const { events } = await handle.fetchHistory();
        return { status: status.name, memo, types: events.map(({ eventType }) => eventType) };
      }),
    ),

  describeSchedules: async () => {
    const schedules = await all(client.schedule.list());
    return Promise.all(
      schedules.map(async ({ scheduleId }) => {
        const { action } = await client.schedule.getHandle(scheduleId).describe();
        return { scheduleId, taskQueue: action.taskQueue, args: action.args ?? [] };
      }),
    );
  },
};

async function all(entries) {
  const found = [];
  for await (const entry of entries) found.push(entry);
  return found;
}

function causes(error) {
  const { name, message, type } = error;
  return [{ name, message, type }, ...(error.cause instanceof Error ? causes(error.cause) : [])];
}

const connection = await Connection.connect({ address: process.argv[2] });
const client = new Client({ connection });
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = JSON.parse(line);
  const output = await commands[command](argument).then(
    (value) => ({ value }),
    (error) => ({ errors: causes(error) }),
  );
  console.log(JSON.stringify(output));
}
await connection.close();
