// An OpenID provider on loopback, by the certified implementation `oidc-provider`. Its argument is JSON: the port, the
// client, the audience of access tokens, and people by their login with the claims of their tokens.

import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const { port, client, audience, people } = JSON.parse(process.argv[2]);
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const resource = { audience, scope: "", accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ id_token_signed_response_alg: "ES256", ...client }],
  cookies: { keys: ["for tests alone"] },
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  features: {
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `http://127.0.0.1:${port}/alga-tenants`,
      getResourceServerInfo: () => resource,
      // Also if the request for the token names no resource.
      useGrantedResource: () => true,
    },
  },
  extraTokenClaims: (_, token) => people[token.accountId]?.claims ?? {},
  findAccount: (_, login) => ({ accountId: login, claims: () => ({ sub: login }) }),
  jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "only" }] },
  pkce: { required: () => true },
  ttl: { AccessToken: (_, token) => people[token.accountId]?.seconds ?? 600, IdToken: 600, Grant: 600, Interaction: 600, Session: 600 },
});
provider.on("server_error", (_, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.log("ready"));
