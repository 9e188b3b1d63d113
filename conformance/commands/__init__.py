"""The subcommands of `sse-conformance`: each module registers one (or a few alike) with the parser."""
