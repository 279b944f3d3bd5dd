"""What the pages show and is not their subject: pictures, tables and experiments, one file a notebook.

``from eqssl_edu.lessons.notebook_02 import ...``: each picture is one call. What a notebook is about is never here.
"""
