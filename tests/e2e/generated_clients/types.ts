// Compiles only if the types of openapi-typescript are as callers need them.
import type { components, operations, webhooks } from "./schema";

type Body<Id extends keyof operations> = operations[Id] extends { requestBody?: { content: { "application/json": infer B } } }
  ? B
  : never;

// What has a default may be left out.
export const tenant: Body<"createTenant"> = {
  tenantName: "Acme",
  adminUser: { firstName: "Ada", lastName: "Byron", email: "ada@acme.example" },
};
export const deletion: Body<"requestDeletion"> = { reason: "contract ended" };
export const licence: Body<"changeLicence"> = { licenseCount: 25 };
export const key: Body<"createApiKey"> = { name: "admin UI" };
export const webhook: Body<"createWebhook"> = { url: "https://example.com/alga-events" };

// @ts-expect-error The name is required.
export const nameless: Body<"createTenant"> = { adminUser: tenant.adminUser };
// @ts-expect-error There is no such field.
export const misspelt: Body<"requestDeletion"> = { reason: "contract ended", gracePeriod: 30 };

export type Status = operations["followOperation"]["responses"][200]["content"]["text/event-stream"];
export const progressOf = (status: Status): number => status.progress;

type Event = webhooks["event"]["post"]["requestBody"]["content"]["application/cloudevents+json"];
export function describe(event: Event): string {
  const data: components["schemas"]["TenantEventData"] | components["schemas"]["TestEventData"] = event.data;
  return "webhookId" in data ? data.webhookId : data.workflowId;
}
