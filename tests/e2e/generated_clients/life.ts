// Drives the whole life of a tenant through the generated client. Arguments: the URL of the gateway, and an API key.
import * as api from "./client";
import { client } from "./client/client.gen";

const [baseUrl, key] = process.argv.slice(2);
client.setConfig({ baseUrl, auth: (scheme) => (scheme.scheme === "bearer" ? key : undefined) });

const throwOnError = true;

// Polls until the operation has one of these statuses.
async function waitFor(workflowId: string, ...statuses: string[]): Promise<api.StatusDocument> {
  for (;;) {
    const { data, response } = await api.readOperation({ path: { id: workflowId }, throwOnError });
    if (statuses.includes(data.status)) return data;
    if (data.finishedAt !== null) throw new Error(JSON.stringify(data));
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

// Follows the operation by its events until it has ended.
async function follow(workflowId: string): Promise<string[]> {
  const seen: string[] = [];
  const { stream } = await api.followOperation({ path: { id: workflowId }, throwOnError });
  for await (const status of stream) {
    if (!status) continue; // The type of the stream includes that of the response 204, which has no events.
    seen.push(status.status);
    if (status.finishedAt !== null) break;
  }
  return seen;
}

async function live(email: string): Promise<Record<string, unknown>> {
  const body: api.TenantRequest = {
    tenantName: "Generated",
    adminUser: { firstName: "Ada", lastName: "Byron", email },
    skipCustomerTracking: true,
  };
  const headers = { "Idempotency-Key": email };
  const created = (await api.createTenant({ body, headers, throwOnError })).data;
  const repeated = (await api.createTenant({ body, headers, throwOnError })).data;
  const creating = await follow(created.workflowId);
  const { tenantId } = await waitFor(created.workflowId, "completed");
  if (tenantId === null) throw new Error("a completed creation has no tenant");
  const path = { id: tenantId };

  const licensed = await api.changeLicence({ path, body: { licenseCount: 7 }, throwOnError });
  if (!("licenseCount" in licensed.data)) throw new Error("the licence was not changed in time");
  const suspended = await api.suspendTenant({ path, body: { reason: "unpaid for 60 days" }, throwOnError });
  const reactivated = await api.reactivateTenant({ path, throwOnError });

  const exported = (await api.requestExport({ path, body: { includeSecrets: true }, throwOnError })).data;
  const exportId = String((await waitFor(exported.workflowId, "completed")).result?.exportId);
  const archive = (await api.readExport({ path: { id: exportId }, throwOnError })).data;

  const deletion: api.DeletionBody = { reason: "contract ended", gracePeriodDays: 0, export: false };
  const requested = (await api.requestDeletion({ path, body: deletion, throwOnError })).data;
  await waitFor(requested.workflowId, "awaiting_confirmation");
  await api.confirmDeletion({ path, throwOnError });
  // Polls of what waits for a confirmation are to be half a minute apart.
  const deleting = await follow(requested.workflowId);
  const certificate = (await api.readCertificate({ path, throwOnError })).data;
  const gone = (await api.readTenant({ path, throwOnError })).data;

  const restoring = (await api.requestRestore({ body: { exportId }, throwOnError })).data;
  await waitFor(restoring.workflowId, "completed");
  const restored = (await api.readTenant({ path, throwOnError })).data;
  const unknown = await api.readTenant({ path: { id: "unknown" } });

  return {
    tenantId,
    isSameOperation: repeated.workflowId === created.workflowId,
    hasPassword: created.temporaryPassword !== undefined,
    lastEvents: [creating.at(-1), deleting.at(-1)],
    licenseCount: licensed.data.licenseCount,
    states: [suspended.data, reactivated.data, gone, restored].map((one) => ("state" in one ? one.state : one.status)),
    archivedRows: archive.totals?.rows,
    certificateOf: certificate.tenant.id,
    restoredLicences: restored.licenseCount,
    problem: unknown.error?.code,
  };
}

live(process.argv[4] ?? "").then(
  (result) => console.log(JSON.stringify(result)),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
