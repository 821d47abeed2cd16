"""The rows about what runs on the nodes: what Falco sees, whether it is well, what the agent costs."""

from __future__ import annotations

from docs.grafana.panel import ME, Panel, Query, Row, stat

ROWS = (
    Row(
        "What is Falco seeing?",
        (
            Panel(
                "Alerts by priority",
                "Alerts read, without Falco's messages about itself.",
                [
                    Query(
                        "sum by (priority) (increase(falcowatch_alerts_total"
                        f'{{{ME}, source!="internal"}}[$__rate_interval]))',
                        "{{priority}}",
                    )
                ],
                width=16,
                height=8,
                stacked=True,
            ),
            Panel(
                "Top rules",
                "In the time shown; beyond some hundred rules the rest is counted as `other`.",
                [Query(f"topk(15, sum by (rule) (increase(falcowatch_alerts_by_rule_total{{{ME}}}[$__range])))")],
                kind="table",
                height=8,
                hidden_columns=("Time",),
            ),
            Panel(
                "Alerts by node",
                "Where it happens.",
                [
                    Query(
                        f"sum by (instance) (increase(falcowatch_alerts_total{{{ME}}}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "What was known of the pod",
                "hit, miss, host (no pod at all), late (known after the wait was over).",
                [Query(f"sum by (result) (rate(falcowatch_enrichment_total{{{ME}}}[$__rate_interval]))", "{{result}}")],
                unit="cps",
                width=12,
                stacked=True,
            ),
        ),
    ),
    Row(
        "Is Falco itself well?",
        (
            stat(
                "Falcos silent",
                "Nodes whose Falco is announced as silent.",
                f"sum(falcowatch_falco_silent{{{ME}}})",
            ),
            stat(
                "System calls dropped",
                "What Falco says it could not see, in the time shown.",
                f"sum(increase(falcowatch_falco_syscall_drops_total{{{ME}}}[$__range]))",
            ),
            stat(
                "Alerts dropped by Falco",
                "In its own output queue, by its last metrics snapshots.",
                f"sum(falcowatch_falco_output_drops{{{ME}}})",
            ),
            stat(
                "Sets of rules in use",
                "Versions of Falco and digests of its rules files; 1 when all nodes agree.",
                "count(count without (instance, pod, node, container, endpoint, service)"
                f' (falcowatch_falco_rules_loaded_info{{{ME}, rules!=""}}))',
                steps=[{"color": "green", "value": None}, {"color": "orange", "value": 2}],
            ),
            Panel(
                "Falco last wrote",
                "Time since a Falco on each node last wrote anything.",
                [Query(f"max by (instance) (falcowatch_falco_silent_seconds{{{ME}}})", "{{instance}}")],
                unit="s",
                height=4,
            ),
            Panel(
                "System calls dropped, by node",
                "Falco's own notices.",
                [
                    Query(
                        f"sum by (instance) (rate(falcowatch_falco_syscall_drops_total{{{ME}}}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                unit="cps",
            ),
            Panel(
                "Falco's messages about itself",
                "By rule; they are always shipped, whatever the minimum priority says.",
                [
                    Query(
                        f"sum by (rule) (increase(falcowatch_falco_internal_total{{{ME}}}[$__rate_interval]))",
                        "{{rule}}",
                    )
                ],
            ),
            Panel(
                "Kernel events a second seen by Falco",
                "By its metrics snapshots, over an hour, since they come minutes apart.",
                [Query(f"max by (instance) (rate(falcowatch_falco_events_total{{{ME}}}[1h]))", "{{instance}}")],
            ),
        ),
    ),
    Row(
        "What does the agent cost?",
        (
            Panel(
                "CPU",
                "Cores in use.",
                [
                    Query(
                        f"sum by (instance) (rate(process_cpu_seconds_total{{{ME}}}[$__rate_interval]))", "{{instance}}"
                    )
                ],
                unit="none",
            ),
            Panel(
                "Resident memory",
                "Bounded by the budget, however long the backlog.",
                [Query(f"max by (instance) (process_resident_memory_bytes{{{ME}}})", "{{instance}}")],
                unit="bytes",
            ),
            Panel(
                "Budget in use",
                "Bytes in flight of the bytes allowed.",
                [
                    Query(
                        f"max by (instance) (falcowatch_budget_used_bytes{{{ME}}} / falcowatch_budget_bytes{{{ME}}})",
                        "{{instance}}",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Files open",
                "Log files, also deleted ones that are not read to their end.",
                [Query(f"sum by (instance) (falcowatch_files_open{{{ME}}})", "{{instance}}")],
            ),
            Panel(
                "Pods known",
                "This node's, deleted ones included while they may still be asked for.",
                [Query(f"sum by (instance) (falcowatch_kube_pods{{{ME}}})", "{{instance}}")],
            ),
            Panel(
                "Bytes to CloudWatch",
                "Of all puts, as CloudWatch counts them.",
                [
                    Query(
                        f"sum by (instance) (rate(falcowatch_put_bytes_sum{{{ME}}}[$__rate_interval]))", "{{instance}}"
                    )
                ],
                unit="Bps",
            ),
        ),
    ),
)
