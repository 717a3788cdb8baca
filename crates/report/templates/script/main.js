const timeline = startTimeline();
startHeat(timeline);
startTables();
startFlames();
