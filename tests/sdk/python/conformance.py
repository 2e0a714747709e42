#!/usr/bin/env python3
"""Holds a sandbox against Genesys's own SDK for Python: every path, by the SDK's methods and models.

    conformance.py --api http://127.0.0.1:8082
    conformance.py --api http://127.0.0.1:8082 --only receipts

It wants a sandbox of its own, since it moves the clock and turns switches. What goes wrong is told on stderr. The last
line on stdout is JSON: how many tests passed, and the operations that were called. Exits 1 if a test fails, or if an
operation of the sandbox's document was called by none.
"""

import argparse
import json
import pkgutil
import sys
import unittest
import warnings

import conformance
from conformance.case import Case
from conformance.sandbox import Sandbox
from conformance.sdk import Sdk
from conformance.webhook import Webhook


def chosen(only):
    """The tests, one by one, in the order of their names."""
    modules = sorted(f"conformance.{each.name}" for each in pkgutil.iter_modules(conformance.__path__))
    found = [unittest.defaultTestLoader.loadTestsFromName(module) for module in modules]
    tests = [test for module in found for case in module for test in case]
    return unittest.TestSuite(test for test in tests if only in test.id())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--api", required=True, help="base URL of the sandbox")
    parser.add_argument("--only", default="", help="a part of the names of the tests that should run")
    args = parser.parse_args()

    Case.sandbox, Case.webhook = Sandbox(args.api), Webhook()
    # The SDK warns of each call that is deprecated, whatever the filters say.
    warnings.showwarning = lambda *told: None
    # None of the tests should meet the limit, or wait for an integration, that does not want to.
    Case.sandbox.switch(rate_per_minute=0, create_delay="0s")
    result = unittest.TextTestRunner(sys.stderr, verbosity=2).run(chosen(args.only))

    operations = Case.sandbox.operations()
    called = sorted(operations.get(each, " ".join(each)) for each in Sdk.called)
    missing = [] if args.only else sorted(set(operations.values()) - set(called))
    if missing:
        print(f"called by no test: {', '.join(missing)}", file=sys.stderr)
    passed = result.testsRun - len(result.failures) - len(result.errors)
    print(json.dumps({"passed": passed, "operations": called}))
    return 0 if result.wasSuccessful() and not missing else 1


if __name__ == "__main__":
    sys.exit(main())
