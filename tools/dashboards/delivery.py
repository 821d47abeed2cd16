"""The rows about delivery: loss, delay, throttling."""

from __future__ import annotations

from tools.dashboards.panel import (
    NEUTRAL,
    ORANGE_ABOVE_ZERO,
    OURS,
    RED_UNLESS_ZERO,
    Panel,
    Query,
    Row,
    quantiles,
    stat,
)

ROWS = (
    Row(
        "Is anything being lost?",
        (
            stat(
                "Bytes lost",
                "Bytes of Falco's logs that were deleted before the agent could read them, in the selected time range.",
                f"sum(increase(falcowatch_gap_bytes_total{{{OURS}}}[$__range]))",
                "bytes",
            ),
            stat(
                "Rejected",
                "Records that CloudWatch will never accept. The node keeps them as dead letters.",
                f"sum(increase(falcowatch_records_rejected_total{{{OURS}}}[$__range])) or vector(0)",
                steps=ORANGE_ABOVE_ZERO,
            ),
            stat(
                "Dead letters",
                "Records that were saved below state_dir: rejected records, and the full bytes of truncated ones.",
                f"sum(increase(falcowatch_dead_letters_total{{{OURS}}}[$__range])) or vector(0)",
                steps=ORANGE_ABOVE_ZERO,
            ),
            stat(
                "Records not accounted for",
                "read − shipped − filtered − rejected − in flight, over all agents. A value other than 0 is a bug.",
                f"sum(falcowatch_records_read_total{{{OURS}}}) - sum(falcowatch_records_shipped_total{{{OURS}}})"
                f" - (sum(falcowatch_records_filtered_total{{{OURS}}}) or vector(0))"
                f" - (sum(falcowatch_records_rejected_total{{{OURS}}}) or vector(0))"
                f" - sum(falcowatch_records_in_flight{{{OURS}}})",
                steps=RED_UNLESS_ZERO,
            ),
            stat(
                "In flight",
                "Records that were read and are not settled yet. The log files still hold them, too.",
                f"sum(falcowatch_records_in_flight{{{OURS}}})",
                steps=NEUTRAL,
            ),
            stat(
                "Agents",
                "Number of agents that Prometheus scrapes.",
                f"count(falcowatch_build_info{{{OURS}}})",
                steps=NEUTRAL,
            ),
            Panel(
                "Records read and settled",
                "Every record that is read becomes shipped, filtered or rejected. Until then it is in flight.",
                [
                    Query(f"sum(rate(falcowatch_records_read_total{{{OURS}}}[$__rate_interval]))", "read"),
                    Query(
                        f"sum by (lane) (rate(falcowatch_records_shipped_total{{{OURS}}}[$__rate_interval]))",
                        "shipped, {{lane}}",
                    ),
                    Query(
                        f"sum by (reason) (rate(falcowatch_records_filtered_total{{{OURS}}}[$__rate_interval]))",
                        "filtered, {{reason}}",
                    ),
                    Query(
                        f"sum by (reason) (rate(falcowatch_records_rejected_total{{{OURS}}}[$__rate_interval]))",
                        "rejected, {{reason}}",
                    ),
                ],
                unit="cps",
            ),
            Panel(
                "Log group differs from the configuration",
                "1 for each setting that differs. Somebody changed the log group, for example its retention.",
                [Query(f"max by (setting) (falcowatch_settings_drift{{{OURS}}})", "{{setting}}")],
            ),
            Panel(
                "Checkpoint errors",
                "Failed writes. Shipping goes on; after a restart, records since the last checkpoint are sent again.",
                [
                    Query(
                        f"sum by (node) (increase(falcowatch_checkpoint_errors_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
            ),
            Panel(
                "Dead letters lost",
                "Rejected records that neither disk nor memory could hold. CloudWatch has an event for each.",
                [
                    Query(
                        f"sum by (node) (increase(falcowatch_dead_letters_lost_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                width=12,
            ),
            Panel(
                "Unforeseen exceptions by part",
                "Each concerned one record, one file or one part of the agent; the rest went on. Every one is a bug.",
                [
                    Query(
                        f"sum by (part) (increase(falcowatch_defects_total{{{OURS}}}[$__rate_interval]))",
                        "{{part}}",
                    )
                ],
                width=12,
            ),
        ),
    ),
    Row(
        "How far behind is delivery?",
        (
            Panel(
                "Oldest record that is unread or unsettled",
                "Age of the record, by node.",
                [Query(f"max by (node) (falcowatch_lag_seconds{{{OURS}}})", "{{node}}")],
                unit="s",
            ),
            Panel(
                "Oldest unacknowledged, by lane",
                "The urgent lane has its own share of the budget and of the send slots.",
                [Query(f"max by (lane) (falcowatch_oldest_unacknowledged_seconds{{{OURS}}})", "{{lane}}")],
                unit="s",
            ),
            Panel(
                "Delivery latency",
                "Time from Falco's event to CloudWatch's acknowledgement.",
                quantiles("falcowatch_alert_latency_seconds", "lane, le", "{{lane}}"),
                unit="s",
            ),
            Panel(
                "Backlog",
                "Bytes in log files that are not settled yet.",
                [Query(f"sum by (node) (falcowatch_lag_bytes{{{OURS}}})", "{{node}}")],
                unit="bytes",
            ),
            Panel(
                "Queued records by lane",
                "Records that were read and wait to be sent. On disk: alerts of a stream that accepts nothing.",
                [
                    Query(f"sum by (lane) (falcowatch_lane_records{{{OURS}}})", "{{lane}}"),
                    Query(f"sum(falcowatch_records_spilled{{{OURS}}})", "on disk"),
                ],
            ),
            Panel(
                "Time since the last acknowledgement",
                "On a quiet node, the value rises to the interval between two heartbeats.",
                [
                    Query(
                        f"time() - max by (node) (falcowatch_last_acknowledged_timestamp_seconds{{{OURS}}} > 0)",
                        "{{node}}",
                    )
                ],
                unit="s",
            ),
        ),
    ),
    Row(
        "What is limiting delivery?",
        (
            Panel(
                "Puts by outcome",
                "PutLogEvents calls per second.",
                [Query(f"sum by (outcome) (rate(falcowatch_puts_total{{{OURS}}}[$__rate_interval]))", "{{outcome}}")],
                unit="reqps",
            ),
            Panel(
                "Retried puts by reason",
                "The agent sends the same batch again until CloudWatch accepts it.",
                [
                    Query(
                        f"sum by (reason) (rate(falcowatch_retries_total{{{OURS}}}[$__rate_interval]))",
                        "{{reason}}",
                    ),
                    Query(f"sum(rate(falcowatch_throttled_total{{{OURS}}}[$__rate_interval]))", "throttled, all"),
                ],
                unit="reqps",
            ),
            Panel(
                "Reading paused by the memory budget",
                "Share of time in which reading was paused. Unread records stay in the log files.",
                [
                    Query(
                        f"sum by (node) (rate(falcowatch_backpressure_seconds_total{{{OURS}}}[$__rate_interval]))",
                        "{{node}}",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Send slots",
                "Limit of parallel puts, and puts that run now. The limit falls while CloudWatch throttles.",
                [
                    Query(f"sum(falcowatch_send_slots{{{OURS}}})", "allowed"),
                    Query(f"sum(falcowatch_send_slots_used{{{OURS}}})", "used"),
                ],
            ),
            Panel(
                "Duration of a put",
                "From the first byte sent to the response.",
                quantiles("falcowatch_put_seconds", "le", "put"),
                unit="s",
            ),
            Panel(
                "Events per put",
                "The quota of AWS counts puts, so larger batches use less of it.",
                quantiles("falcowatch_put_events", "le", "events"),
            ),
            Panel(
                "Seals by node",
                "Seals written in the time range. Each states what CloudWatch has acknowledged. A node without seals "
                "proves nothing.",
                [Query(f"sum by (node) (delta(falcowatch_seal_number{{{OURS}}}[$__rate_interval]))", "{{node}}")],
                width=16,
            ),
            Panel(
                "Log files that wait for a descriptor",
                "The agent closes idle files and reads all files in turn. A higher limit of open files ends the wait.",
                [Query(f"sum by (node) (falcowatch_files_waiting{{{OURS}}})", "{{node}}")],
                width=8,
            ),
        ),
    ),
)
