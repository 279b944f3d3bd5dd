"""``python -m eqssl_edu``: pretrain, evaluate and export from the shell."""

import logging

from eqssl_edu.command.shell import main

if __name__ == "__main__":
    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # else five lines on how many processes there are
    main()
