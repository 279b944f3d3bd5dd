"""A Jupyter server that passes on what a kernel says at once.

A kernel answers a widget with several small messages: busy, the new state, idle. By default the server's socket holds
back each small packet until the one before has been acknowledged (Nagle's algorithm), and browsers acknowledge up to
40 ms late. So a picture came 40 ms later than it was ready (measured: 54 ms from the hand to the repaint).

    jupyter lab --ServerApp.kernel_websocket_connection_class=eqssl_edu.jupyter.PromptConnection

``python3 course.py lab`` starts JupyterLab so.
"""

from __future__ import annotations

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

__all__ = ["PromptConnection"]


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection between a browser and a kernel, with TCP_NODELAY."""

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        return super().connect()
