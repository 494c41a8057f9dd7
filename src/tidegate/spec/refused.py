"""Compose keys that have no effect here, or that we refuse, each with what to use instead."""

from tidegate.spec.shapes import Refused

_TAKE_OUT = "take it out"
_OURS = "Tidegate's containers have the engine's default: take it out"

RESERVATIONS = Refused("one host reserves nothing: use limits", error=False)

SERVICE_REFUSED: dict[str, Refused] = {
    # Leaving these out changes what the agent does: errors.
    "build": Refused("write build: at the top of tidegate.yaml, beside workload"),
    "configs": Refused(
        "files work in a compose file that workload.compose names; here write volumes: [./file:/path:ro]"
    ),
    "secrets": Refused("files work in a compose file that workload.compose names; else environments.NAME.secrets"),
    "extends": Refused("it works in a compose file that workload.compose names; here share keys with an anchor and <<"),
    "links": Refused("name a network that both are on: networks: [name]"),
    "external_links": Refused("name a network that both are on: networks: [name]"),
    "volumes_from": Refused("name the volumes: volumes: [data:/data]"),
    "pid": Refused(_OURS),
    "ipc": Refused("use shm_size, or a volume"),
    "userns_mode": Refused(_OURS),
    "uts": Refused(_OURS),
    "cgroup": Refused(_OURS),
    "cgroup_parent": Refused(_OURS),
    "runtime": Refused("set the engine's default runtime on the host"),
    "gpus": Refused("use devices: [/dev/...]"),
    "platform": Refused("build or name an image for the host's architecture"),
    "provider": Refused("run the provider yourself before the delivery"),
    "models": Refused("give the model's address as an environment variable"),
    "credential_spec": Refused("it is for Windows containers"),
    "isolation": Refused("it is for Windows containers"),
    "device_cgroup_rules": Refused("use devices: [/dev/...]"),
    "post_start": Refused("do it in the image's entrypoint"),
    "pre_stop": Refused("handle stop_signal in the agent"),
    "tty": Refused("an agent has no terminal: take it out", error=False),
    "stdin_open": Refused("an agent has no terminal: take it out", error=False),
    # Without effect on one agent: warnings.
    "attach": Refused(_TAKE_OUT, error=False),
    "annotations": Refused("use labels", error=False),
    "blkio_config": Refused("use deploy.resources.limits", error=False),
    "container_name": Refused("names carry the agent, environment and revision: take it out", error=False),
    "cpu_count": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_percent": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_period": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_quota": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_rt_period": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_rt_runtime": Refused("use deploy.resources.limits.cpus", error=False),
    "cpu_shares": Refused("use deploy.resources.limits.cpus", error=False),
    "cpuset": Refused("use deploy.resources.limits.cpus", error=False),
    "depends_on": Refused(
        "an agent waits for what it needs by itself: let its readiness probe say no until then", error=False
    ),
    "develop": Refused(_TAKE_OUT, error=False),
    "dns_opt": Refused("set it for the engine", error=False),
    "dns_search": Refused("set it for the engine", error=False),
    "domainname": Refused("use hostname", error=False),
    "expose": Refused("take traffic with routes; instances reach each other on their network anyway", error=False),
    "label_file": Refused("use labels", error=False),
    "mac_address": Refused(_TAKE_OUT, error=False),
    "mem_reservation": Refused("use deploy.resources.limits.memory", error=False),
    "mem_swappiness": Refused("use deploy.resources.limits.memory", error=False),
    "memswap_limit": Refused("use deploy.resources.limits.memory", error=False),
    "oom_kill_disable": Refused("use deploy.resources.limits.memory", error=False),
    "oom_score_adj": Refused("use deploy.resources.limits.memory", error=False),
    "profiles": Refused("use environments, each with its overlay", error=False),
    "pull_policy": Refused("an image is pulled when the host does not have it: take it out", error=False),
    "pull_refresh_after": Refused("name an exact version instead", error=False),
    "storage_opt": Refused("use a volume", error=False),
    "use_api_socket": Refused("mount the socket: volumes: [/var/run/docker.sock:/var/run/docker.sock]"),
}

DEPLOY_REFUSED: dict[str, Refused] = {
    "mode": Refused("write replicas; one per host comes from the environment's hosts", error=False),
    "endpoint_mode": Refused("the gateway takes the traffic: use routes", error=False),
    "labels": Refused("use labels of the workload", error=False),
    "placement": Refused("choose hosts in the environment", error=False),
    "restart_policy": Refused("use restart", error=False),
    "rollback_config": Refused("use rollback at the top of tidegate.yaml", error=False),
    "update_config": Refused("use strategy at the top of tidegate.yaml", error=False),
}
