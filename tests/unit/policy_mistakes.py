"""A good policy file, and what people write instead of each of its parts, with what each mistake is told."""

MONTHLY_RUN = """\
  monthly_run: {rota: {2026-11: {slack: "@U123"}, 2026-12: {email: [kim@site.test]}}}
"""
ROUTES = """\
routes:
  - {channel: slack, min_severity: ERROR, audiences: [mdd, infra, outreach]}
  - {channel: email, min_severity: error, audiences: [mdd, infra]}
"""
GOOD = f"""\
version: 1
audiences:
  mdd: {{name: MD&D, slack: "#alerts-mdd", email: [mdd@site.test]}}
  infra: {{slack: "#alerts-infra", email: [infra@site.test]}}
  outreach: {{duty: inform, slack: "#alerts-outreach"}}
{MONTHLY_RUN}{ROUTES}rules:
  - {{match: {{body: "*falls back*"}}, set: {{severity: error}}}}
"""

# What stands in the good file, what a person wrote instead (§ where they should look), and what they are told.
MISTAKES = {
    "unknown key at the top": (
        "rules:",
        "§rule:",
        ["unknown key 'rule' (did you mean rules?)"],
    ),
    "unknown key of an audience": (
        'infra: {slack: "#alerts-infra"',
        'infra: {§slak: "#x", slack: "#alerts-infra"',
        ["unknown key 'slak' (did you mean slack?)"],
    ),
    "unknown key of a person": (
        '2026-11: {slack: "@U123"}',
        '2026-11: {slack: "@U123", §mail: x}',
        ["unknown key 'mail' (did you mean email?)"],
    ),
    "unknown key of a route": (
        "min_severity: ERROR",
        "§severity: ERROR",
        ["unknown key 'severity' (did you mean min_severity?)"],
    ),
    "unknown key of a rule": (
        "set: {severity: error}",
        "set: {§sevrity: error}",
        ["unknown key 'sevrity' (did you mean severity?)"],
    ),
    "duplicate key": (
        "version: 1",
        "version: 1\n§version: 1",
        ["the key 'version' stands here twice (first at line 1)"],
    ),
    "duplicate audience": (
        "  outreach: {duty",
        '  §mdd: {slack: "#b"}\n  outreach: {duty',
        ["the key 'mdd' stands here twice (first at line 3)"],
    ),
    "unknown version": (
        "version: 1",
        "version: §2",
        ["version '2' is not known (write version: 1)"],
    ),
    "no version": (
        "version: 1\n",
        "§",
        ["version is missing (write version: 1 at the top)"],
    ),
    "audience nobody has, in a route": (
        "audiences: [mdd, infra, outreach]",
        "audiences: [mdd, §infar, outreach]",
        ["unknown audience 'infar' (did you mean infra?)"],
    ),
    "audience nobody has, in a rule": (
        "set: {severity: error}",
        "set: {audiences: [mdd, §outrech]}",
        ["unknown audience 'outrech' (did you mean outreach?)"],
    ),
    "audience nobody has, in an expectation": (
        "rules:",
        "expect:\n  - {pipeline: p, record: r, audiences: [§nobody]}\nrules:",
        ["unknown audience 'nobody' (one of mdd, infra, outreach, monthly_run)"],
    ),
    "audience without an address in a routed channel": (
        "audiences: [mdd, infra]}",
        "audiences: [mdd, §outreach]}",
        ["outreach has no email address (give it one at line 5, or take it out of this route)"],
    ),
    "person without an address in a routed channel": (
        '2026-11: {slack: "@U123"}, 2026-12: {email: [kim@site.test]}}}\n' + ROUTES,
        '§2026-11: {slack: "@U123"}, 2026-12: {email: [kim@site.test]}}}\n'
        + ROUTES.replace("infra]}", "monthly_run]}"),
        ["2026-11 has no email address, but the email route names monthly_run (add email: …)"],
    ),
    "empty month of a rota": (
        '2026-11: {slack: "@U123"}',
        "§2026-11: {}",
        ['2026-11 has nobody: the person needs an address (slack: "@U…", email: [name@domain])'],
    ),
    "month of a rota without a value": (
        '2026-11: {slack: "@U123"}',
        "§2026-11: ",
        ["2026-11 has no value (write one, or delete the line)"],
    ),
    "month with one digit": (
        "2026-12:",
        "§2026-1:",
        ["'2026-1' is not a month (did you mean 2026-01?)"],
    ),
    "month that no year has": (
        "2026-12:",
        "§2026-13:",
        ["'2026-13' is not a month (months run from 01 to 12)"],
    ),
    "month in words": (
        "2026-12:",
        "§December:",
        ["'December' is not a month (write year and month: 2026-11)"],
    ),
    "route that adds nothing": (
        "rules:",
        "  - §{channel: slack, min_severity: CRITICAL, audiences: [mdd]}\nrules:",
        ["this route adds nothing: line 8 already tells everybody it names (delete it, or narrow the other)"],
    ),
    "the same route twice": (
        "rules:",
        "  - §{channel: email, min_severity: ERROR, audiences: [infra, mdd]}\nrules:",
        ["this route adds nothing: line 9 already tells everybody it names (delete it, or narrow the other)"],
    ),
    "unknown channel": (
        "channel: slack",
        "channel: §slak",
        ["unknown channel 'slak' (did you mean slack?)"],
    ),
    "unknown severity": (
        "severity: ERROR",
        "severity: §EROR",
        ["unknown severity 'EROR' (did you mean ERROR?)"],
    ),
    "severity of another logging library": (
        "set: {severity: error}",
        "set: {severity: §fatal}",
        ["unknown severity 'fatal' (did you mean CRITICAL?)"],
    ),
    "severity that means no severity": (
        "severity: ERROR",
        "severity: §ALL",
        ["'ALL' is not a severity (leave min_severity out to let everything through)"],
    ),
    "severity that no record has": (
        'match: {body: "*falls back*"}',
        "match: {severity: §WARN}",
        ["unknown severity 'WARN' (did you mean WARNING?)"],
    ),
    "route without a channel": (
        "{channel: slack, min",
        "§{min",
        ["channel is missing (the keys here are channel, min_severity, audiences)"],
    ),
    "route to nobody": (
        "audiences: [mdd, infra]}",
        "audiences: §[]}",
        ["this is empty (name at least one)"],
    ),
    "no routes": (
        "routes:\n",
        "routes: §[]\n§x:\n",
        [
            "this is empty (name at least one)",
            (
                "unknown key 'x' (one of version, audiences, routes, rules, expect, grouping, runs, quiet_hours,"
                " retention)"
            ),
        ],
    ),
    "one audience instead of a list": (
        "audiences: [mdd, infra]}",
        "audiences: §mdd}",
        ["a list is expected here (audiences: [one, two])"],
    ),
    "list instead of a mapping": (
        "monthly_run: {rota",
        "monthly_run: §[x]\n  other: {rota",
        ["a mapping (key: value) is expected here"],
    ),
    "channel name that YAML takes for a comment": (
        'outreach: {duty: inform, slack: "#alerts-outreach"}',
        "outreach:\n    duty: inform\n    §slack: #alerts-outreach",
        ['slack has no value (quote it: slack: "#channel"; without quotes, # starts a comment)'],
    ),
    "Slack channel without #": (
        '"#alerts-mdd"',
        "§alerts-mdd",
        ["'alerts-mdd' is not a Slack address (did you mean \"#alerts-mdd\"?)"],
    ),
    "Slack channel that Slack would not take": (
        '"#alerts-mdd"',
        '§"#Alerts MDD"',
        ["'#Alerts MDD' cannot be a Slack channel (did you mean \"#alerts-mdd\"?)"],
    ),
    "Slack user by name": (
        '"@U123"',
        '§"@kim"',
        ['\'@kim\' is not a Slack member id (in Slack: profile, ⋮, "Copy member ID"; then "@U…")'],
    ),
    "secret instead of a channel": (
        '"#alerts-mdd"',
        '§"https://hooks.site.test/services/T0/B0/not-a-real-one"',
        ["a webhook's address is a secret (name the channel here and set SLACK_WEBHOOK_URL)"],
    ),
    "email with a name": (
        "[mdd@site.test]",
        '[§"MDD <mdd@site.test>"]',
        ["'MDD <mdd@site.test>' carries a name (write only mdd@site.test)"],
    ),
    "two emails in one": (
        "[mdd@site.test]",
        '[§"a@site.test, b@site.test"]',
        ["'a@site.test, b@site.test' is more than one address (write a list: [a@…, b@…])"],
    ),
    "email without a domain": (
        "[mdd@site.test]",
        "[§mdd]",
        ["'mdd' is not an email address (name@domain)"],
    ),
    "email that could smuggle a header": (
        "[mdd@site.test]",
        '[§"mdd@site.test\\r\\nBcc: x"]',
        ["'mdd@site.test\\r\\nBcc: x' is not an email address"],
    ),
    "audience key with a space": (
        'outreach: {duty: inform, slack: "#alerts-outreach"}\n' + MONTHLY_RUN + ROUTES,
        '§out reach: {duty: inform, slack: "#alerts-outreach"}\n'
        + MONTHLY_RUN
        + ROUTES.replace("outreach", "§outreach"),
        [
            "'out reach' cannot name an audience (a letter, then letters, digits, - and _; `name` may say more)",
            "unknown audience 'outreach' (did you mean out reach?)",
        ],
    ),
    "unknown duty": (
        "duty: inform",
        "duty: §watch",
        ["unknown duty 'watch' (act (told the cause) or inform (told the effect))"],
    ),
    "rule without a condition": (
        '{body: "*falls back*"}',
        "§{}",
        ["this is empty (name at least one)"],
    ),
    "condition without a value": (
        '{body: "*falls back*"}',
        "{§body: }",
        ["body has no value (write one, or delete the line)"],
    ),
    "rule that sets nothing": (
        "set: {severity: error}",
        "set: §{}",
        ["this rule sets nothing (set one of severity, audiences, owner, runbook, effect, fingerprint, drop)"],
    ),
    "rule for nobody": (
        "set: {severity: error}",
        "set: {audiences: §[]}",
        ["this is empty (name at least one)"],
    ),
    "drop neither true nor false": (
        "set: {severity: error}",
        "set: {drop: §maybe}",
        ["true or false is expected here"],
    ),
    "runbook that nobody can click": (
        "set: {severity: error}",
        "set: {runbook: §see wiki}",
        ["'see wiki' is not a web address (a runbook is a link: https://…)"],
    ),
    "effect without words": (
        "set: {severity: error}",
        'set: {effect: §" "}',
        ["this is empty (write something, or delete the line)"],
    ),
    "hold without a unit": (
        "rules:",
        "grouping: {hold: §10}\nrules:",
        ["'10' needs a unit (write 10s, 10m, 10h or 10d)"],
    ),
    "hold of a channel that does not hold": (
        "rules:",
        "grouping: {hold: {§wandb: 1s}}\nrules:",
        ["unknown key 'wandb' (one of slack, email)"],
    ),
    "duration in words": (
        "rules:",
        "grouping: {repeat_after: §3 hours}\nrules:",
        ["'3 hours' is not a duration (write 30s, 10m, 1h30m, 24h or 90d)"],
    ),
    "repeat after no time": (
        "rules:",
        "grouping: {repeat_after: §0s}\nrules:",
        ["'0s' is no time at all (write more than 0s)"],
    ),
    "resolve never": (
        "rules:",
        "grouping: {resolve_after: §never}\nrules:",
        ["unknown value 'never' (write next_success, or a duration such as 24h)"],
    ),
    "retention beyond the clock": (
        "rules:",
        "retention: {logs: §101y}\nrules:",
        ["'101y' is longer than 100 years"],
    ),
    "expectation of nothing": (
        "rules:",
        "expect: [{pipeline: p, record: r, min: §0}]\nrules:",
        ["this must be at least 1"],
    ),
    "expectation due at an unknown time": (
        "rules:",
        "expect: [{pipeline: p, record: r, by: §noon}]\nrules:",
        ["'noon' is not a time (write run_end, or a schedule in UTC: \"0 12 3 * *\")"],
    ),
    "schedule with four fields": (
        "rules:",
        'runs: {monthly: {schedule: §"0 6 1 *"}}\nrules:',
        ['\'0 6 1 *\' has 4 fields, a schedule has 5 ("minute hour day month weekday": "0 6 1 * *")'],
    ),
    "schedule at an hour that no day has": (
        "rules:",
        'runs: {monthly: {schedule: §"0 25 1 * *"}}\nrules:',
        ["'25' is not an hour (*, or numbers from 0 to 23, as in 1,15 or 1-5 or */2)"],
    ),
}
