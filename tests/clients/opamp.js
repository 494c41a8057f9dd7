// @elastic/opamp-client-node as an agent: node opamp.js ENDPOINT TOKEN INTERVAL_S. A JSON line for each thing that happens.
import {subscribe} from 'node:diagnostics_channel';
import {AgentCapabilities, DIAG_CH_SEND_FAIL, DIAG_CH_SEND_SUCCESS, RemoteConfigStatuses, createOpAMPClient} from '@elastic/opamp-client-node';

const [endpoint, token, interval] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));

const client = createOpAMPClient({
    endpoint,
    headers: {Authorization: `Bearer ${token}`},
    heartbeatIntervalSeconds: Number(interval),
    capabilities: AgentCapabilities.AgentCapabilities_AcceptsRemoteConfig | AgentCapabilities.AgentCapabilities_ReportsRemoteConfig,
    diagEnabled: true,
    onMessage: ({remoteConfig}) => {
        const [name, file] = Object.entries(remoteConfig.config.configMap)[0];
        say({config: name, body: Buffer.from(file.body).toString()});
        client.setRemoteConfigStatus({
            status: RemoteConfigStatuses.RemoteConfigStatuses_APPLIED,
            lastRemoteConfigHash: remoteConfig.configHash,
        });
    },
});
subscribe(DIAG_CH_SEND_SUCCESS, ({a2s, s2a}) => say({sent: Number(a2s.sequenceNum), flags: Number(s2a.flags)}));
subscribe(DIAG_CH_SEND_FAIL, ({err, retryAfterMs}) => say({failed: String(err), retryAfterMs}));
client.setAgentDescription({
    identifyingAttributes: {'service.name': 'mailer', 'service.version': '2.0.0', 'service.instance.id': 'node-1'},
    nonIdentifyingAttributes: {'host.name': 'north'},
});
client.start();
setInterval(() => {}, 60_000); // the client's own timers keep no process alive
process.on('SIGTERM', () => client.shutdown().then(() => process.exit(0)));
