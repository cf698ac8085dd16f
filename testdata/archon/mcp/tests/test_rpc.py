import asyncio
import unittest

from mcp.main import call


def ask(request):
    return asyncio.run(call(request))


class Rpc(unittest.TestCase):
    def test_list(self):
        answer = ask({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})
        self.assertEqual(answer["id"], 7)
        self.assertEqual([tool["name"] for tool in answer["result"]["tools"]], ["find_notes"])

    def test_errors(self):
        for request, code in [
            ([], -32600),
            ({"id": 1, "method": "no"}, -32601),
            ({"id": 1, "method": "tools/call", "params": {"name": "no"}}, -32602),
        ]:
            self.assertEqual(ask(request)["error"]["code"], code, request)
