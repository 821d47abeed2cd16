"""The rows about the nodes: Falco's alerts, Falco's health, and the resources that the agent uses."""

from __future__ import annotations

from tools.dashboards.panel import ORANGE_ABOVE_ZERO, OURS, Panel, Query, Row, Word, stat

FALCO_STATES = {
    "reading": "green",
    "silent": "yellow",
    "text": "orange",
    "elsewhere": "red",
    "none": "dark-red",
}
"""The states of Falco on a node with their colours, from the best to the worst as in agent/core/falco_state.py."""

FALCO_STATE_AS_NUMBER = " or ".join(
    f'{number} * falcowatch_falco_state{{{OURS}, state="{state}"}}' for number, state in enumerate(FALCO_STATES, 1)
)
"""The metric has one series for each state, which is 1 for the present one and 0 for the others."""

ROWS = (
    Row(
        "What is Falco seeing?",
        (
            Panel(
                "Alerts by priority",
                "Alerts that were read. Falco's messages about itself are not counted.",
                [
                    Query(
                        "sum by (priority) (increase(falcowatch_alerts_total"
                        f'{{{OURS}, source!="internal"}}[$__rate_interval]))',
                        "{{priority}}",
                    )
                ],
                width=16,
                height=8,
                stacked=True,
            ),
            Panel(
                "Top rules",
                "In the selected time range. Each agent counts a limited number of rules by name, the rest as `other`.",
                [Query(f"topk(15, sum by (rule) (increase(falcowatch_alerts_by_rule_total{{{OURS}}}[$__range])))")],
                kind="table",
                height=8,
                hidden_columns=("Time",),
            ),
            Panel(
                "Alerts by node",
                "Alerts that were read, by node.",
                [
                    Query(
                        f"sum by (node) (increase(falcowatch_alerts_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                width=8,
            ),
            Panel(
                "Pod metadata lookups",
                "hit: pod known; miss: pod unknown; host: alert without a pod; late: pod known after the wait.",
                [
                    Query(
                        f"sum by (result) (rate(falcowatch_enrichment_total{{{OURS}}}[$__rate_interval]))",
                        "{{result}}",
                    )
                ],
                unit="cps",
                width=8,
                stacked=True,
            ),
            Panel(
                "Pod metadata works",
                "0: the agent cannot read pods from the API server. Alerts are shipped without metadata of new pods.",
                [Query(f"min by (node) (falcowatch_enrichment_up{{{OURS}}})", "{{node}}")],
                width=8,
                most=1,
            ),
        ),
    ),
    Row(
        "What costs money?",
        (
            Panel(
                "Dollars a month by rule",
                "If the selected time range went on for 30 days, at `$ per GB` of ingestion. Each agent counts a "
                "limited number of rules by name, the rest as `other`.",
                [
                    Query(
                        f"topk(15, sum by (rule) (rate(falcowatch_alert_bytes_total{{{OURS}}}[$__range])))"
                        " * 2592000 / 1e9 * $price"
                    )
                ],
                unit="currencyUSD",
                kind="table",
                width=12,
                height=8,
                hidden_columns=("Time",),
            ),
            Panel(
                "Bytes billed by rule",
                "Bytes of the shipped alerts as CloudWatch bills them: each event and 26 more.",
                [
                    Query(
                        f"topk(10, sum by (rule) (rate(falcowatch_alert_bytes_total{{{OURS}}}[$__rate_interval])))",
                        "{{rule}}",
                    )
                ],
                unit="Bps",
                width=12,
                height=8,
                stacked=True,
            ),
        ),
    ),
    Row(
        "Is Falco healthy?",
        (
            stat(
                "Blind nodes",
                "Nodes whose agent has announced that no Falco is read there: none was found, it is not selected, or "
                "it prints text.",
                f"sum(falcowatch_falco_not_read{{{OURS}}})",
            ),
            stat(
                "Silent Falco pods",
                "Nodes whose agent reports that Falco has stopped writing.",
                f"sum(falcowatch_falco_silent{{{OURS}}})",
            ),
            stat(
                "System calls dropped",
                "System calls that Falco reports as dropped, in the selected time range.",
                f"sum(increase(falcowatch_falco_syscall_drops_total{{{OURS}}}[$__range]))",
            ),
            stat(
                "Alerts dropped by Falco",
                "Alerts that Falco dropped from its output queue, according to its latest metrics snapshots.",
                f"sum(falcowatch_falco_output_drops{{{OURS}}})",
            ),
            stat(
                "Different rule sets",
                "Combinations of Falco version and digests of rules files. 1: all nodes run the same.",
                "count(count without (instance, pod, node, container, endpoint, service, cluster)"
                f' (falcowatch_falco_rules_loaded_info{{{OURS}, rules!=""}}))',
                steps=[{"color": "green", "value": None}, {"color": "orange", "value": 2}],
            ),
            stat(
                "Agents without pod metadata",
                "Agents that cannot read pods from the API server.",
                f"count(falcowatch_enrichment_up{{{OURS}}} == 0) or vector(0)",
                steps=ORANGE_ABOVE_ZERO,
            ),
            Panel(
                "Coverage: the state of Falco by node",
                "reading: its alerts are read. text: it prints text. silent: it has written nothing for a while. "
                "elsewhere: the settings tail.* do not select it. none: no Falco was found. "
                "docs/falco-state.md has more.",
                [Query(f"max by (node) ({FALCO_STATE_AS_NUMBER})", "{{node}}")],
                kind="state-timeline",
                width=16,
                words=[Word(number, state, colour) for number, (state, colour) in enumerate(FALCO_STATES.items(), 1)],
            ),
            Panel(
                "Time since Falco's last line",
                "Time since Falco last wrote a line to its log, by node.",
                [Query(f"max by (node) (falcowatch_falco_silent_seconds{{{OURS}}})", "{{node}}")],
                unit="s",
            ),
            Panel(
                "System calls dropped by node",
                "According to Falco's messages about dropped system calls.",
                [
                    Query(
                        f"sum by (node) (rate(falcowatch_falco_syscall_drops_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                unit="cps",
            ),
            Panel(
                "Falco's messages about itself",
                "By rule. These messages are always shipped, whatever minimum_priority says.",
                [
                    Query(
                        f"sum by (rule) (increase(falcowatch_falco_internal_total{{{OURS}}}[$__rate_interval]))",
                        "{{rule}}",
                    )
                ],
            ),
            Panel(
                "Kernel events per second seen by Falco",
                "According to Falco's metrics snapshots, which are minutes apart; hence the rate over one hour.",
                [Query(f"max by (node) (rate(falcowatch_falco_events_total{{{OURS}}}[1h]))", "{{node}}")],
            ),
        ),
    ),
    Row(
        "How much CPU and memory does the agent use?",
        (
            Panel(
                "CPU",
                "CPU cores in use.",
                [
                    Query(
                        f"sum by (node) (rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                unit="none",
            ),
            Panel(
                "Resident memory",
                "The memory budget limits this value, however long the backlog is.",
                [Query(f"max by (node) (process_resident_memory_bytes{{{OURS}}})", "{{node}}")],
                unit="bytes",
            ),
            Panel(
                "Memory budget in use",
                "Bytes in flight, as a share of memory_budget_bytes.",
                [
                    Query(
                        f"max by (node) (falcowatch_budget_used_bytes{{{OURS}}} / falcowatch_budget_bytes{{{OURS}}})",
                        "{{node}}",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Open log files",
                "Includes deleted files that are not read to their end yet.",
                [Query(f"sum by (node) (falcowatch_files_open{{{OURS}}})", "{{node}}")],
            ),
            Panel(
                "Known pods",
                "Pods of the node in the agent's cache. Deleted pods stay for enrich.keep_deleted_seconds.",
                [Query(f"sum by (node) (falcowatch_kube_pods{{{OURS}}})", "{{node}}")],
            ),
            Panel(
                "Bytes sent to CloudWatch",
                "The size of all puts, as CloudWatch counts it.",
                [
                    Query(
                        f"sum by (node) (rate(falcowatch_put_bytes_sum{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                unit="Bps",
            ),
        ),
    ),
)
