"""A Jupyter server that lets widgets follow the hand.

A kernel answers a widget with three small messages: busy, the new state, idle. Two habits made the new state late,
and ``PromptConnection`` ends both (measured from the hand to the repaint, on two cores):

- The server's socket holds back each small packet until the one before has been acknowledged (Nagle's algorithm), and
  browsers acknowledge up to 40 ms late.
- At "busy" the browser draws JupyterLab's signs of a busy kernel anew, at each move of the hand, and the picture waits
  behind that: about 10 ms.

    jupyter lab --ServerApp.kernel_websocket_connection_class=eqssl_edu.jupyter.PromptConnection

``python3 course.py lab`` starts JupyterLab so.
"""

import asyncio

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

__all__ = ["PromptConnection"]

PATIENCE_SECONDS = 0.1  # what takes no longer feels immediate: nobody needs to hear that the kernel is busy


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection between a browser and a kernel, with TCP_NODELAY and patience with widgets.

    That the kernel is busy with a widget's message is told when it takes longer than ``PATIENCE_SECONDS``. All other
    messages pass as they are.
    """

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        self._late_news: dict[str, asyncio.TimerHandle] = {}  # "busy" messages by the request they belong to
        return super().connect()

    def disconnect(self):
        for timer in getattr(self, "_late_news", {}).values():
            timer.cancel()
        return super().disconnect()

    def handle_outgoing_message(self, stream, outgoing_msg) -> None:
        request, status = self._widget_status(outgoing_msg)
        pass_on = super().handle_outgoing_message
        if status == "busy":
            wait = asyncio.get_running_loop().call_later
            self._late_news[request] = wait(PATIENCE_SECONDS, pass_on, stream, outgoing_msg)
            return
        if status == "idle" and request in self._late_news:
            self._late_news.pop(request).cancel()
        pass_on(stream, outgoing_msg)

    def _widget_status(self, outgoing_msg) -> tuple[str, str]:
        """(id of the request, "busy" or "idle") of a status that belongs to a widget's message, else ("", "")."""
        _, (_, header, parent, _, content, *_) = self.session.feed_identities(outgoing_msg)
        if self.session.unpack(header)["msg_type"] == "status":
            request = self.session.unpack(parent)
            if request.get("msg_type") == "comm_msg":
                return request["msg_id"], self.session.unpack(content)["execution_state"]
        return "", ""
