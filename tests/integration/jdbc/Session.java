// A session over JDBC: the arguments say where, what it prints is how each step ended, a line for each.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;

class Session {
  interface Step {
    String run() throws SQLException;
  }

  static void step(String name, Step step) {
    String told;
    try {
      told = step.run();
    } catch (SQLException error) {
      told = "error " + error.getSQLState();
    }
    System.out.println(name + ": " + told);
  }

  static String rows(ResultSet result, boolean described) throws SQLException {
    StringBuilder told = new StringBuilder();
    ResultSetMetaData shape = result.getMetaData();
    for (int column = 1; described && column <= shape.getColumnCount(); column++) {
      told.append(shape.getColumnLabel(column)).append(' ').append(shape.getColumnTypeName(column)).append(", ");
    }
    int count = 0;
    for (; result.next(); count++) {
      for (int column = 1; count < 60 && column <= shape.getColumnCount(); column++) {
        told.append(column == 1 ? " | " : ", ").append(result.getString(column));
      }
    }
    return told.append(" # ").append(count).toString();
  }

  public static void main(String[] arguments) throws Exception {
    Properties login = new Properties();
    login.setProperty("user", arguments[1]);
    login.setProperty("password", System.getenv("JDBC_PASSWORD"));
    boolean postgres = arguments[0].startsWith("jdbc:postgresql:");
    try (Connection connection = DriverManager.getConnection(arguments[0], login)) {
      if (arguments.length > 2) {
        wait(connection, arguments[2], arguments[3]);
        return;
      }
      step("simple", () -> {
        try (Statement statement = connection.createStatement()) {
          return rows(statement.executeQuery("SELECT id, full_name, email, city FROM customers ORDER BY id"), true);
        }
      });
      // From the fifth execution on, the driver keeps the statement at the server, and asks for binary values.
      for (int time = 0; time < 8; time++) {
        int number = time;
        step("prepared " + time, () -> prepared(connection, number));
      }
      step("one prepared eight times", () -> {
        StringBuilder told = new StringBuilder();
        String text = "SELECT id, email, birth_date FROM customers WHERE id > ? AND city <> ? ORDER BY id";
        try (PreparedStatement statement = connection.prepareStatement(text)) {
          for (int time = 0; time < 8; time++) {
            statement.setInt(1, time);
            statement.setString(2, "nowhere");
            told.append(rows(statement.executeQuery(), time == 7));
          }
        }
        return told.toString();
      });
      connection.setAutoCommit(false);
      step("fetched in parts", () -> {
        try (PreparedStatement statement = connection.prepareStatement("SELECT id, email FROM customers ORDER BY id")) {
          statement.setFetchSize(3);
          return rows(statement.executeQuery(), true);
        }
      });
      step("batch", () -> {
        try (PreparedStatement statement = connection.prepareStatement("UPDATE customers SET city = ? WHERE id = ?")) {
          for (int id = 1; id <= 20; id++) {
            statement.setString(1, "Bergen");
            statement.setInt(2, id);
            statement.addBatch();
          }
          return Arrays.toString(statement.executeBatch());
        }
      });
      step("rolled back", () -> {
        connection.rollback();
        try (Statement statement = connection.createStatement()) {
          return rows(statement.executeQuery("SELECT count(*) FROM customers WHERE city = 'Bergen'"), true);
        }
      });
      step("an error in a transaction", () -> {
        try (Statement statement = connection.createStatement()) {
          return rows(statement.executeQuery("SELECT no_such_column FROM customers"), true);
        }
      });
      step("and after it", () -> {
        connection.rollback();
        connection.setAutoCommit(true);
        return prepared(connection, 1);
      });
      String schema = postgres ? "public" : null;
      step("tables", () -> rows(connection.getMetaData().getTables(connection.getCatalog(), schema, "custom%", null), false));
      step("columns", () -> rows(connection.getMetaData().getColumns(connection.getCatalog(), schema, "customers", "%"), false));
      step("keys", () -> rows(connection.getMetaData().getPrimaryKeys(connection.getCatalog(), schema, "orders"), false));
      step("still good", () -> String.valueOf(connection.isValid(5)));
    }
  }

  static String prepared(Connection connection, int id) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT id, email FROM customers WHERE id = ?")) {
      statement.setInt(1, id);
      return rows(statement.executeQuery(), true);
    }
  }

  // A statement that waits for somebody's approval: how it ends, and that the session goes on.
  static void wait(Connection connection, String text, String how) throws Exception {
    try (Statement statement = connection.createStatement()) {
      if (how.equals("timeout")) {
        statement.setQueryTimeout(2);
      } else if (how.equals("cancel")) {
        Thread other = new Thread(() -> {
          try {
            Thread.sleep(2000);
            statement.cancel();
          } catch (Exception error) {
            System.out.println("cancel: " + error);
          }
        });
        other.setDaemon(true);
        other.start();
      }
      step("waited", () -> String.valueOf(statement.executeUpdate(text)));
    }
    step("afterwards", () -> prepared(connection, 1));
  }
}
