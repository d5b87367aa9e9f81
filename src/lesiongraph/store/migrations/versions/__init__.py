"""One file a step; a step that was released is never changed, since databases stand on it."""
