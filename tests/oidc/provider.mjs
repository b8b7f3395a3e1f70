// A real OpenID provider on loopback whose keys change on demand.
//
// Prints its issuer once it answers. A line on stdin changes its keys: `rotate` signs with a new key and publishes the
// old ones too, `retire` publishes the newest alone. Each line is answered with the names of the keys published.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const keys = [];

function addKey() {
  const { privateKey } = generateKeyPairSync('ed25519');
  keys.unshift({ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'EdDSA' });
}

function makeProvider(issuer) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: 'svc-billing',
      client_secret: 'secret',
      id_token_signed_response_alg: 'EdDSA',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    enabledJWA: { idTokenSigningAlgValues: ['EdDSA'] },
    extraTokenClaims: () => ({ realm_access: { roles: ['audit-writers', 'offline_access'] } }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: 'audit',
          audience: 'audit.example.com',
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'EdDSA' } },
        }),
      },
    },
  }).callback();
}

addKey();
let answer;
const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  answer = makeProvider(issuer);
  console.log(issuer);
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'rotate') addKey();
      if (line === 'retire') keys.splice(1);
      answer = makeProvider(issuer);
      console.log(keys.map((key) => key.kid).join(' '));
    })
    .on('close', () => process.exit(0));
});
