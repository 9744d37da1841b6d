# The app image: the code, on a base that has all the rest. This is what is built at every save, so nothing is
# installed or run here. Context: the repository's root.
ARG BASE_IMAGE=codesearch-base:latest
FROM ${BASE_IMAGE}

ENV CODESEARCH_ROOT=/workspace CODESEARCH_PORT=8000
EXPOSE 8000
USER app
ENTRYPOINT ["python", "-m", "codesearch"]

# Last, so that a save makes one layer. Owned by root: the app cannot change its own code.
COPY sample/tests /app/tests
COPY sample/codesearch /app/codesearch
